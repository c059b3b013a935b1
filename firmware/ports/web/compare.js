// A and B: an original and what the model makes of it, switched while one plays.

export function comparePairs(root) {
  const pairs = [...root.querySelectorAll(".pair")].map((pair) => ({
    buttons: [...pair.querySelectorAll("[data-plays]")],
    sounds: Object.fromEntries([...pair.querySelectorAll("audio")].map((sound) => [sound.dataset.of, sound])),
  }));
  const show = () => {
    for (const {buttons, sounds} of pairs) {
      for (const button of buttons) button.setAttribute("aria-pressed", String(!sounds[button.dataset.plays].paused));
    }
  };
  const play = (pair, which) => {
    const going = Object.values(pair.sounds).find((sound) => !sound.paused), wanted = pair.sounds[which];
    const at = going && going !== wanted ? going.currentTime : 0;
    for (const {sounds} of pairs) for (const sound of Object.values(sounds)) sound.pause();
    wanted.currentTime = at;
    return wanted.play();
  };
  for (const pair of pairs) {
    for (const button of pair.buttons) button.addEventListener("click", () => play(pair, button.dataset.plays));
    for (const sound of Object.values(pair.sounds)) for (const what of ["play", "pause", "ended"]) sound.addEventListener(what, show);
  }
}
