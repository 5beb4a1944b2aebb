// Follows the stream of a page and replaces what differs. Everything works without this script, by the link "Reload".
"use strict";
(() => {
  const live = document.getElementById("live");
  const connection = document.getElementById("connection");
  const announcer = document.getElementById("announcer");

  // Copies a command. The button is shown only where the browser allows it.
  if (navigator.clipboard) {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false;
      button.addEventListener("click", async () => {
        const source = document.getElementById(button.dataset.copy);
        await navigator.clipboard.writeText(source.textContent);
        if (announcer) announcer.textContent = button.dataset.copied || "";
      });
    }
  }
  if (!live || !connection || !window.EventSource) return;

  // Makes a node equal to another one and keeps what is equal, so that focus, selection and open details stay.
  const sync = (from, to) => {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || (from.id || "") !== (to.id || "")) {
      from.replaceWith(to.cloneNode(true));
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.nodeValue !== to.nodeValue) from.nodeValue = to.nodeValue;
      return;
    }
    for (const { name } of [...from.attributes]) {
      if (!to.hasAttribute(name) && name !== "open") from.removeAttribute(name);
    }
    for (const { name, value } of [...to.attributes]) {
      if (from.getAttribute(name) !== value && name !== "open") from.setAttribute(name, value);
    }
    syncChildren(from, to);
  };
  const syncChildren = (from, to) => {
    const wanted = [...to.childNodes];
    // An element with an id that is still there is moved to its place in the order, not made again.
    const byId = new Map([...from.children].filter((child) => child.id).map((child) => [child.id, child]));
    wanted.forEach((child, index) => {
      const present = from.childNodes[index];
      const known = child.id && byId.get(child.id);
      if (known && known !== present) from.insertBefore(known, present || null);
      const target = from.childNodes[index];
      if (target) sync(target, child);
      else from.append(child.cloneNode(true));
    });
    while (from.childNodes.length > wanted.length) from.lastChild.remove();
  };

  const states = () =>
    new Map([...live.querySelectorAll("[data-state]")].map((node) => [node.id, node.dataset.state]));

  const show = (html) => {
    const before = states();
    const next = new DOMParser().parseFromString(html, "text/html");
    syncChildren(live, next.body);
    const changed = [...live.querySelectorAll("[data-state]")].filter(
      (node) => before.has(node.id) && before.get(node.id) !== node.dataset.state,
    );
    if (changed.length > 0) {
      announcer.textContent = changed
        .slice(0, 5)
        .map((node) => `${node.dataset.name}: ${(node.querySelector(".badge") || node).lastChild.textContent.trim()}`)
        .join(". ");
    }
  };

  const mark = (isLive) => {
    const text = isLive ? connection.dataset.live : connection.dataset.lost;
    if (connection.textContent !== text) {
      connection.textContent = text;
      if (!isLive) announcer.textContent = text;
    }
    document.documentElement.toggleAttribute("data-lost", !isLive);
  };

  let source;
  let heard = Date.now();
  let pause = 2000;
  const login = () => window.location.assign("/console/login");

  // A stream that the server refuses does not come back: the session may have ended.
  const retry = async () => {
    mark(false);
    source.close();
    try {
      const answer = await fetch(window.location.href, { redirect: "manual", cache: "no-store" });
      if (answer.type === "opaqueredirect" || answer.status === 401) return login();
    } catch {
      // The server does not answer.
    }
    window.setTimeout(follow, pause);
    pause = Math.min(pause * 2, 30000);
  };

  const follow = () => {
    source = new EventSource(live.dataset.stream);
    source.addEventListener("live", (event) => {
      heard = Date.now();
      pause = 2000;
      show(event.data);
      mark(true);
    });
    source.addEventListener("alive", () => {
      heard = Date.now();
      mark(true);
    });
    source.addEventListener("end", () => {
      source.close();
      login();
    });
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) retry();
      else mark(false);
    });
  };
  // A connection that was cut without an end shows no error for minutes.
  window.setInterval(() => {
    if (Date.now() - heard > 15000) mark(false);
  }, 5000);
  follow();
})();
