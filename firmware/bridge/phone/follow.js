// Lets the instrument's own page follow the bridge: every move is what a MIDI message of its table would do.

const AGAIN_MS = 1000;

function follow() {
  if (!window.vaectrol) {
    setTimeout(follow, 50);
    return;
  }
  const {midi} = window.vaectrol;
  const socket = new WebSocket(`wss://${location.host}/follow${location.search}`);
  socket.onmessage = ({data}) => {
    for (const [column, value] of JSON.parse(data)) midi.map.move(column, value);
  };
  socket.onclose = () => setTimeout(follow, AGAIN_MS);
}

follow();
