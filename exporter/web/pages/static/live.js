// Keeps a page that is looked at true: asks for it again every few seconds, and puts in what changed.
// The page works without this. What it says, and in which language, comes from the page (data attributes of #live).
"use strict";
(() => {
  const live = document.getElementById("live");
  const lost = document.getElementById("lost");
  const news = document.getElementById("news");
  const main = () => document.getElementById("main");
  const units = live.dataset.units.split("|");
  const sizes = [86400, 3600, 60, 1];
  const every = live.dataset.every * 1000;
  // how far the server's clock is ahead of the browser's, in ms
  let ahead = document.getElementById("as-of").dataset.now - Date.now();
  let etag = null;
  let timer = null;

  // A length in its two largest units, as the server says it.
  function length(seconds) {
    const i = sizes.findIndex((size) => seconds >= size);
    if (i < 0 || i === 3) return Math.max(0, Math.floor(seconds)) + units[3];
    const rest = Math.floor((seconds % sizes[i]) / sizes[i + 1]);
    const whole = Math.floor(seconds / sizes[i]) + units[i];
    return rest ? whole + live.dataset.between + rest + units[i + 1] : whole;
  }

  function count() {
    const now = Date.now() + ahead;
    for (const each of document.querySelectorAll("time[data-since]")) {
      const text = length((now - each.dataset.since) / 1000);
      if (each.textContent !== text) each.textContent = text;
    }
  }

  // What a section says, without what the clock does to it.
  const gist = (section) => section.outerHTML.replace(/(<time[^>]*>)[^<]*/g, "$1");
  let gists = new Map([...main().children].map((each) => [each, gist(each)]));

  // The counterpart of the element that has the focus, in what takes the place of `old`.
  function counterpart(old, fresh) {
    const focused = document.activeElement;
    if (!old.contains(focused)) return null;
    if (focused.id) return fresh.querySelector("#" + CSS.escape(focused.id));
    const alike = (root) => [...root.querySelectorAll(focused.tagName)].filter(
      (each) => each.getAttribute("href") === focused.getAttribute("href"));
    return alike(fresh)[alike(old).indexOf(focused)] || alike(fresh)[0] || null;
  }

  function replace(old, fresh) {
    for (const each of old.querySelectorAll("details[id]")) {
      const other = fresh.querySelector("#" + CSS.escape(each.id));
      if (other) other.open = each.open;
    }
    const focus = counterpart(old, fresh);
    const scrolled = [...old.querySelectorAll("[id]")].filter((each) => each.scrollTop || each.scrollLeft)
      .map((each) => [each.id, each.scrollTop, each.scrollLeft]);
    old.replaceWith(fresh);
    for (const [id, top, left] of scrolled) document.getElementById(id)?.scrollTo(left, top);
    if (focus) focus.focus({ preventScroll: true });
  }

  // Puts in the sections that changed and leaves the others alone.
  function put(page) {
    const fresh = [...page.getElementById("main").children];
    const ids = new Set(fresh.map((each) => each.id));
    for (const each of [...main().children]) if (!ids.has(each.id)) each.remove();
    const kept = new Map();
    let last = null;
    for (const each of fresh) {
      const text = gist(each);
      const old = document.getElementById(each.id);
      const same = old && gists.get(old) === text;
      const now = same ? old : document.adoptNode(each);
      if (old && !same) replace(old, now);
      const next = last ? last.nextElementSibling : main().firstElementChild;
      if (now !== next) main().insertBefore(now, next);
      kept.set(now, text);
      last = now;
    }
    gists = kept;
  }

  // Says what is new to who cannot see it: elements with data-news, each by its key.
  const told = () => new Map([...document.querySelectorAll("[data-news]")].map(
    (each) => [each.dataset.news, each.dataset.say]));
  let known = told();
  function announce() {
    const now = told();
    const fresh = [...now].filter(([key]) => !known.has(key)).map(([, text]) => text);
    known = now;
    if (fresh.length) news.textContent = fresh.slice(0, 5).join(" ");
  }

  function fails(text) {
    document.body.classList.toggle("stale", Boolean(text));
    if (lost.textContent !== text) lost.textContent = text;
  }

  async function look() {
    let answer;
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      answer = await fetch(location.href, { headers, cache: "no-store", signal: AbortSignal.timeout(20000) });
      if (answer.status !== 304) {
        if (!answer.headers.get("Content-Type")?.startsWith("text/html")) {
          return fails(` ${live.dataset.refused} ${answer.status}`);
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        if (!page.getElementById("main")) return fails(` ${live.dataset.refused} ${answer.status}`);
        // another version of the exporter: its pages may go with another script
        if (page.querySelector("script").src !== document.querySelector("script").src) return location.reload();
        etag = answer.headers.get("ETag");
        put(page);
        document.title = page.title;
        document.querySelector("link[rel=icon]").href = page.querySelector("link[rel=icon]").getAttribute("href");
        ahead = page.getElementById("as-of").dataset.now - Date.now();
        announce();
      }
    } catch {
      return fails(` ${live.dataset.lost}`);
    }
    fails("");
    asOf(new Date(Date.now() + ahead));
    count();
  }

  // The time of the page in the page's own time zone, which its text has the offset of.
  function asOf(date) {
    const element = document.getElementById("as-of");
    const offset = element.getAttribute("datetime").slice(19);
    const minutes = offset.startsWith("+") || offset.startsWith("-")
      ? Number(offset[0] + "1") * (Number(offset.slice(1, 3)) * 60 + Number(offset.slice(4, 6))) : 0;
    const local = new Date(date.getTime() + minutes * 60000).toISOString().slice(0, 19);
    element.setAttribute("datetime", local + offset);
    element.textContent = local.slice(5).replace("T", " ");
  }

  async function round() {
    clearTimeout(timer);
    if (document.hidden) return;
    await look();
    timer = setTimeout(round, every);
  }

  document.addEventListener("visibilitychange", round);
  setInterval(count, 1000);
  timer = setTimeout(round, every);
})();
