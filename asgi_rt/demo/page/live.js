// A stream of events over as many connections as it takes, and the count of what came through.

const RETRY_MS = 2000;

// The events of `path`. `handlers` has a function for each name of event, called with the data and
// the event's id; `open` is called for each connection.
//
// EventSource reconnects by itself, with the id of the last event, after a connection that broke or
// ended. It gives up for good at an answer other than 200, such as the 503 of a server that goes
// down: then this makes a new one, and gives the id in the query, since a new one has no other way.
export class Feed {
  #path;
  #handlers;
  #lastEventId = "";

  constructor(path, { open = () => {}, ...handlers }) {
    this.#path = path;
    this.#handlers = { open, ...handlers };
  }

  // Runs until `signal` is aborted, then rejects with its reason. May be run again: it goes on
  // where it was.
  run(signal, say) {
    return new Promise((_, reject) => {
      let source = null;
      let timer = null;
      const connect = () => {
        say("connecting");
        source = this.#connect();
        source.addEventListener("open", () => say("connected"));
        source.addEventListener("error", () => {
          say("connection lost: reconnecting");
          if (source.readyState === EventSource.CLOSED) timer = setTimeout(connect, RETRY_MS);
        });
      };
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        source.close();
        reject(signal.reason);
      });
      connect();
    });
  }

  #connect() {
    const url = new URL(this.#path, location);
    if (this.#lastEventId) url.searchParams.set("last_event_id", this.#lastEventId);
    const source = new EventSource(url);
    const { open, ...handlers } = this.#handlers;
    source.addEventListener("open", open);
    for (const [name, handle] of Object.entries(handlers)) {
      source.addEventListener(name, (event) => {
        this.#lastEventId = event.lastEventId;
        handle(JSON.parse(event.data), event.lastEventId);
      });
    }
    return source;
  }
}

// Counts what a stream of consecutive numbers brings. Each method returns the figures.
export class Tally {
  #next = null;
  #connections = 0;
  #figures = { received: 0, missed: 0, repeated: 0, reconnects: 0, gaps: 0 };

  connected() {
    this.#connections += 1;
    this.#figures.reconnects = this.#connections - 1;
    return this.#figures;
  }

  received(number) {
    const figures = this.#figures;
    figures.received += 1;
    if (this.#next !== null && number < this.#next) {
      figures.repeated += 1;
    } else {
      if (this.#next !== null) figures.missed += number - this.#next;
      this.#next = number + 1;
      figures.last = number;
    }
    return figures;
  }

  // The server said that what came up to `id` is not to be had.
  gap(id) {
    this.#figures.gaps += 1;
    this.#next = id + 1;
    return this.#figures;
  }
}
