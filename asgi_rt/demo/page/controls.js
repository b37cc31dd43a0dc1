// What the pages have in common: buttons that start and stop something, and numbers that are shown.

// Gives a section's button its work: one press starts `read(signal, say)`, the next one stops it.
// `say(text)` shows how it goes.
export function toggles(section, read, { start = "Start", stop = "Stop" } = {}) {
  const button = section.querySelector(".controls button");
  const status = section.querySelector("[role=status]");
  let controller = null;

  function show(isRunning, text) {
    button.textContent = isRunning ? stop : start;
    button.setAttribute("aria-pressed", String(isRunning));
    status.textContent = text;
  }

  button.addEventListener("click", async () => {
    if (controller) {
      controller.abort();
      return;
    }
    controller = new AbortController();
    show(true, "running");
    try {
      await read(controller.signal, (text) => (status.textContent = text));
      show(false, "ended");
    } catch (error) {
      show(false, error.name === "AbortError" ? "stopped" : `failed: ${error.message}`);
    } finally {
      controller = null;
    }
  });
}

export function fill(section, values) {
  for (const [field, value] of Object.entries(values)) {
    section.querySelector(`[data-field=${field}]`).textContent = value?.toLocaleString() ?? "–";
  }
}
