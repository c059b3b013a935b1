// Unpacks the module and the scripts, which the page holds compressed, and starts it.

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

async function start() {
  const bytes = new Uint8Array(await (await unpacked("wasm")).arrayBuffer());
  window.unpacked = {bytes, worklet: await (await unpacked("worklet")).text()};
  const script = await (await unpacked("script")).text();
  // A data: address works from file:// too.
  await import(`data:text/javascript;charset=utf-8,${encodeURIComponent(script)}`);
}

function warn(words) {
  const warning = document.getElementById("warning");
  warning.textContent = words;
  warning.hidden = false;
}

if (typeof DecompressionStream === "undefined") {
  warn("This browser cannot unpack the instrument; open the page in Chrome 80, Firefox 113, Safari 16.4 or newer.");
} else {
  start()
    .catch((error) => warn(`The instrument did not start (${error.message}); load the page again.`))
    .finally(() => document.body.removeAttribute("aria-busy"));
}
