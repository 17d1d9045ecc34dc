// Lets OHIF 3 draw dermoscopic and confocal images; README.md beside this file says where it goes.
//
// OHIF's image viewer asks a fixed list of SOP classes what it may draw, and the classes of dermatology are not on it.
// An extension of a site is registered after OHIF's own ones and finds that list in their module.
(function () {
  var DERMATOLOGY = [
    '1.2.840.10008.5.1.4.1.1.77.1.7', // Dermoscopic Photography Image Storage
    '1.2.840.10008.5.1.4.1.1.77.1.8', // Confocal Microscopy Image Storage
    '1.2.840.10008.5.1.4.1.1.77.1.9', // Confocal Microscopy Tiled Pyramidal Image Storage
  ];
  var LIST = '@ohif/extension-default.sopClassHandlerModule.stack';

  window.config.extensions = (window.config.extensions || []).concat({
    id: 'derm-pacs.dermatology',
    preRegistration: function (site) {
      var handler = site.extensionManager.getModuleEntry(LIST);
      if (!handler || !Array.isArray(handler.sopClassUids)) {
        console.warn('derm-pacs: this version of OHIF keeps its list of image classes elsewhere; dermoscopic images stay undrawn');
        return;
      }
      DERMATOLOGY.forEach(function (uid) {
        if (!handler.sopClassUids.includes(uid)) {
          handler.sopClassUids.push(uid);
        }
      });
    },
  });
})();
