// Gives the outlines and figures that OHIF draws a dark edge, so that they can be read on skin and on bright cells.
//
// Optional; README.md beside this file says where it goes. It changes how every annotation of this OHIF looks.
(function () {
  var style = document.createElement('style');
  style.textContent =
    '.svg-layer text { paint-order: stroke; stroke: rgba(0, 0, 0, 0.85); stroke-width: 4px; stroke-linejoin: round; }' +
    '.svg-layer path, .svg-layer polyline, .svg-layer line { stroke-width: 2px; filter: drop-shadow(0 0 1px black) drop-shadow(0 0 1px black); }';
  document.head.appendChild(style);
})();
