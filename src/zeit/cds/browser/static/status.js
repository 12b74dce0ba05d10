// Lets the status page of zeit.cds look again, without losing what somebody does on it.
// Without this the page is the same: there is a link to reload it.
'use strict';

(() => {
  const root = document.getElementById('zeit-cds');
  const parts = document.getElementById('cds-parts');
  const box = document.getElementById('cds-refresh');
  if (!root || !parts || !box) return;

  // What a button has done is no page to be asked for again.
  const query = new URLSearchParams(location.search);
  const page = new URL(root.querySelector('h1 a').getAttribute('href'), document.baseURI);
  for (const name of ['find', 'file']) {
    if (query.has(name)) page.searchParams.set(name, query.get(name));
  }
  const interval = Number(root.dataset.interval) * 1000;
  let pause = interval;

  box.closest('label').hidden = false;
  try {
    box.checked = sessionStorage.getItem('zeit-cds-refresh') !== 'no';
  } catch { /* storage may be switched off */ }
  box.addEventListener('change', () => {
    try {
      sessionStorage.setItem('zeit-cds-refresh', box.checked ? 'yes' : 'no');
    } catch { /* the same */ }
  });

  async function refresh() {
    const answer = await fetch(page, {credentials: 'same-origin', signal: AbortSignal.timeout(30000)});
    if (!answer.ok) throw new Error(answer.status);
    const found = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const fresh = found.getElementById('cds-parts');
    if (!fresh) throw new Error('another page');
    if (parts.querySelector(':active')) return;  // a button is being pressed
    root.className = found.getElementById('zeit-cds').className;
    const clock = found.querySelector('.cds-clock time');
    if (clock) root.querySelector('.cds-clock time').replaceWith(clock);
    // Who looks at a part of the page keeps it; and what has not changed is left alone, so that a
    // screen reader and a selection stay where they are.
    for (const details of parts.querySelectorAll('details[id]')) {
      const same = fresh.querySelector('#' + CSS.escape(details.id));
      if (same) same.open = details.open;
    }
    if (fresh.innerHTML === parts.innerHTML) return;
    const focused = place(document.activeElement);
    const scrolled = parts.querySelector('.cds-scroll')?.scrollTop;
    parts.replaceChildren(...fresh.childNodes);
    if (scrolled) parts.querySelector('.cds-scroll')?.scrollTo(0, scrolled);
    if (focused) find(focused)?.focus({preventScroll: true});
  }

  // An element that has the focus is found again by what it is, if it is still there.
  function place(element) {
    if (!parts.contains(element)) return null;
    return [element.localName, element.id, element.getAttribute('href'), element.value, element.className];
  }

  function find(wanted) {
    const all = parts.querySelectorAll(wanted[0]);
    return [...all].find(element => place(element).every((each, i) => each === wanted[i]));
  }

  async function again() {
    if (box.checked && !document.hidden) {
      try {
        await refresh();
        pause = interval;
        root.classList.remove('cds-stale');
      } catch {
        root.classList.add('cds-stale');
        pause = Math.min(2 * pause, 120000);
      }
    }
    setTimeout(again, pause);
  }

  setTimeout(again, pause);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden && box.checked) refresh().catch(() => root.classList.add('cds-stale'));
  });
})();
