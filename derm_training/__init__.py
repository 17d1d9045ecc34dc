"""Training and measuring of bundles: tables of pictures, random views, engines, figures, reports; never part of serving."""
