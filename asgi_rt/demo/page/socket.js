// A WebSocket that is opened again whenever it ends, for as long as it is wanted.

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15000;
const ANSWER_MS = 10000;
const LOST = 1006; // what a browser, too, notes where a connection ends without a close frame

export class LiveSocket {
  #url;
  #message;
  #closed;
  #silenceMs;
  #answerMs;
  #socket = null;
  #attempts = 0;

  // `url()` is asked for the address of each connection. `message` is called with each value that
  // comes, `closed` with the code and the reason of each end.
  //
  // A browser answers the server's pings but sends none, and does not see that a server has
  // vanished without a word. So after `silenceMs` without a message one is sent, `{type: "ping"}`,
  // and without any answer to it in `answerMs` the connection counts as lost.
  constructor(url, { message, closed = () => {}, silenceMs = 20000, answerMs = ANSWER_MS }) {
    this.#url = url;
    this.#message = message;
    this.#closed = closed;
    this.#silenceMs = silenceMs;
    this.#answerMs = answerMs;
  }

  // Sends a value as JSON; whether there is a connection to send it on.
  send(value) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(value));
    return true;
  }

  // To be called when the server has let us in, which an open connection alone does not say. From
  // here on the first delay is the short one again.
  settle() {
    this.#attempts = 0;
  }

  // Runs until `signal` is aborted, then rejects with its reason. May be run again.
  run(signal, say) {
    return new Promise((_, reject) => {
      let timer = null; // of the next attempt, or of the silence
      const wait = (ms, then) => {
        clearTimeout(timer);
        timer = setTimeout(then, ms);
      };
      const connect = () => {
        say("connecting");
        const socket = (this.#socket = new WebSocket(this.#url()));
        const end = (code, reason) => {
          if (socket !== this.#socket) return; // it was given up before it ended
          this.#socket = null;
          this.#closed(code, reason);
          const delay = this.#nextDelay();
          const why = reason ? `${code}, ${reason}` : code;
          say(`connection closed (${why}): trying again in ${(delay / 1000).toFixed(1)} s`);
          wait(delay, connect);
        };
        const listen = () => wait(this.#silenceMs, ask);
        const ask = () => {
          this.send({ type: "ping" });
          wait(this.#answerMs, () => {
            socket.close();
            end(LOST, "the server does not answer");
          });
        };
        socket.addEventListener("open", () => {
          if (socket !== this.#socket) return;
          say("connected");
          listen();
        });
        socket.addEventListener("message", ({ data }) => {
          if (socket !== this.#socket) return;
          listen();
          this.#message(JSON.parse(data));
        });
        socket.addEventListener("close", ({ code, reason }) => end(code, reason));
      };
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        const socket = this.#socket;
        this.#socket = null;
        socket?.close(1000);
        reject(signal.reason);
      });
      connect();
    });
  }

  // Twice as long with each attempt that got nowhere, and up to half of it less by chance, so that
  // those who lost the same server do not all come back at once.
  #nextDelay() {
    const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** this.#attempts);
    this.#attempts += 1;
    return delay * (1 - Math.random() / 2);
  }
}
