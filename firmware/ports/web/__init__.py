"""An instrument in a browser: its firmware as WebAssembly, and the page around it."""
