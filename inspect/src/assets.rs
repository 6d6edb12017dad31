//! The page: its own files, and two libraries with their licences. All of it is in the program.

/// A file of the page.
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) bytes: &'static [u8],
}

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! assets {
    ($($path:literal $kind:ident $file:literal)*) => {
        /// All files.
        pub(crate) const ASSETS: &[Asset] =
            &[$(Asset { path: $path, kind: $kind, bytes: include_bytes!(concat!("../assets/", $file)) }),*];
    };
}

assets! {
    "/" HTML "page.html"
    "/icon.svg" IMAGE "icon.svg"
    "/page.css" STYLE "page.css"
    "/page.js" SCRIPT "page.js"
    "/views.js" SCRIPT "views.js"
    "/cytoscape.js" SCRIPT "cytoscape.min.js"
    "/cytoscape.LICENSE" TEXT "cytoscape.LICENSE"
    "/uPlot.js" SCRIPT "uPlot.iife.min.js"
    "/uPlot.css" STYLE "uPlot.min.css"
    "/uPlot.LICENSE" TEXT "uPlot.LICENSE"
}
