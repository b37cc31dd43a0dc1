// One room of the chat. Messages are objects in JSON, told apart by their `type`.

import { fill, toggles } from "/page/controls.js";
import { LiveSocket } from "/page/socket.js";

const MAX_LINES = 200;

const room = location.pathname.split("/").at(-1);
const chat = document.getElementById("chat");
const lines = document.getElementById("lines");
const people = document.querySelector("#people ul");
const say = document.getElementById("say");
const rename = document.getElementById("rename");

document.title = `${room}: ${document.title}`;
document.getElementById("chat-title").textContent = `Room: ${room}`;

let ownName = sessionStorage.getItem("name") ?? "";
let names = [];
let connections = 0;

function show(kind, text) {
  const line = document.createElement("li");
  line.className = kind;
  line.textContent = text;
  lines.append(line);
  while (lines.children.length > MAX_LINES) lines.firstChild.remove();
  lines.scrollTop = lines.scrollHeight;
}

function showPeople(present) {
  names = present;
  people.replaceChildren(
    ...names.map((name) => {
      const item = document.createElement("li");
      item.textContent = name;
      return item;
    }),
  );
}

function setOwnName(name) {
  ownName = name;
  rename.elements.name.value = name;
  sessionStorage.setItem("name", name);
}

function allow(isConnected) {
  for (const form of [say, rename]) form.querySelector("button").disabled = !isConnected;
}

const on = {
  welcome({ name, names }) {
    socket.settle();
    connections += 1;
    fill(chat, { reconnects: connections - 1 });
    setOwnName(name);
    showPeople(names);
    allow(true);
    show("notice", connections > 1 ? `you are back, as ${name}` : `you are here, as ${name}`);
  },
  joined({ name }) {
    showPeople([...names, name]);
    show("notice", `${name} has come`);
  },
  left({ name }) {
    showPeople(names.filter((each) => each !== name));
    show("notice", `${name} has left`);
  },
  renamed({ old, name }) {
    if (old === ownName) setOwnName(name);
    showPeople(names.map((each) => (each === old ? name : each)));
    show("notice", `${old} is now ${name}`);
  },
  said({ name, text, time }) {
    show("said", `${new Date(time).toLocaleTimeString()} ${name}: ${text}`);
  },
  // What the server says of a message that it could not take. The connection lives on.
  error({ code, detail }) {
    show("error", `error ${code}: ${detail}`);
  },
  pong() {},
};

function url() {
  const url = new URL(location);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  url.search = new URLSearchParams({ name: ownName });
  return url;
}

const socket = new LiveSocket(url, {
  message: (message) => on[message.type]?.(message),
  closed(code, reason) {
    allow(false);
    showPeople([]);
    fill(chat, { code: `${code} ${reason}` });
  },
});

say.addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket.send({ type: "say", text: say.elements.text.value })) say.reset();
});

rename.addEventListener("submit", (event) => {
  event.preventDefault();
  socket.send({ type: "rename", name: rename.elements.name.value });
});

async function join(signal, tell) {
  try {
    await socket.run(signal, tell);
  } finally {
    allow(false);
    showPeople([]);
  }
}

toggles(chat, join, { start: "Join", stop: "Leave" });
chat.querySelector(".controls button").click();
