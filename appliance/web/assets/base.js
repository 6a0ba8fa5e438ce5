// What the other scripts share: finding elements, telling the reader, following a stream.

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function notice(text) {
  const box = $('#notice');
  if (box) { box.textContent = text; box.classList.toggle('shown', Boolean(text)); }
}

// A stream that says when it is cut, and comes back by itself where it was.
export function follow(address, on) {
  const stream = new EventSource(address);
  let lost = 0;
  stream.onopen = () => { clearTimeout(lost); notice(''); };
  stream.onerror = () => {
    clearTimeout(lost);
    lost = setTimeout(() => notice('Connection lost. Trying again…'), 3000);
    if (stream.readyState === EventSource.CLOSED) {
      setTimeout(() => { if (!document.hidden) location.reload(); }, 15000);
    }
  };
  for (const [name, handle] of Object.entries(on)) stream.addEventListener(name, handle);
  return stream;
}
