// listen(url, names): an EventSource whose events, the named ones too, are kept in `seen`.
window.listen = (url, names = []) => {
  const source = new EventSource(url);
  const seen = { source, opens: 0, errors: 0, events: [] };
  source.onopen = () => (seen.opens += 1);
  source.onerror = (event) => {
    if (!(event instanceof MessageEvent)) seen.errors += 1;
  };
  for (const name of ["message", ...names]) {
    source.addEventListener(name, ({ type, data, lastEventId }) => {
      if (data !== undefined) seen.events.push({ type, data, id: lastEventId });
    });
  }
  window.seen = seen;
};
