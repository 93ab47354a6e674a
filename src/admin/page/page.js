// Keeps the page as the server would make it now. Without this script it is the same page, and its
// forms work too; it only stands still.
"use strict";

const PAUSE = 10_000; // Figures that no event tells of, as latencies, are looked at this often.
const main = document.querySelector("main[data-newest]");

if (main) {
    const live = document.getElementById("live");
    const news = document.getElementById("news");
    let stream = null;
    let running = null;
    let again = false;

    function tell(state, text) {
        live.dataset.live = state;
        live.textContent = text;
    }

    // Several events at once are one renewal; one that comes meanwhile is another.
    function renew() {
        again = running !== null;
        running ??= load().catch(() => tell("lost", "No connection")).finally(() => {
            running = null;
            if (again) {
                renew();
            }
        });
        return running;
    }

    async function load() {
        const response = await fetch("/", { cache: "no-store" });
        if (response.redirected) {
            location.assign(response.url); // The session is over.
            return;
        }
        const fresh = parsed(await response.text()).querySelector("main[data-newest]");
        if (fresh) {
            keepingFocus(() => become(main, fresh));
            become(document.querySelector("footer"), fresh.ownerDocument.querySelector("footer"));
            const isOpen = stream.readyState === EventSource.OPEN;
            tell(isOpen ? "live" : "lost", isOpen ? "Live" : "Renewed every 10 s");
        }
    }

    function follow() {
        stream?.close();
        stream = new EventSource("/v1/events/stream");
        stream.onopen = renew; // For what happened before.
        stream.addEventListener("resync", renew);
        stream.onmessage = (message) => {
            news.textContent = JSON.parse(message.data).text;
            renew();
        };
        stream.onerror = () => tell("lost", "Connecting again");
    }

    // A page that nobody sees holds no connection: browsers have few for each server.
    document.addEventListener("visibilitychange", () => {
        if (document.hidden) {
            stream?.close();
        } else {
            follow();
        }
    });
    setInterval(() => {
        if (document.hidden) {
            return;
        }
        if (stream.readyState === EventSource.CLOSED) {
            follow();
        }
        renew();
    }, PAUSE);
    document.addEventListener("submit", (event) => {
        if (event.target.getAttribute("action") === "/order") {
            event.preventDefault();
            order(event.target);
        }
    });

    async function order(form) {
        const panel = form.closest("[popover]");
        const place = panel ? answerIn(form) : document.getElementById("said");
        try {
            const body = new URLSearchParams(new FormData(form));
            const response = await fetch("/order", { method: "POST", body });
            const result = parsed(await response.text()).getElementById("result");
            if (!result) {
                location.assign("/"); // The session is over: the server says what to do.
                return;
            }
            result.removeAttribute("id");
            if (response.ok) {
                panel?.hidePopover();
                form.reset();
                place.replaceChildren();
                document.getElementById("said").replaceChildren(result);
                await renew();
            } else {
                place.replaceChildren(result);
            }
        } catch {
            place.textContent = "No connection: nothing is known of the order.";
        }
    }

    // Where a refusal is told inside of the form that was refused.
    function answerIn(form) {
        let place = form.querySelector("[role=alert]");
        if (!place) {
            place = document.createElement("div");
            place.setAttribute("role", "alert");
            place.dataset.own = "";
            form.append(place);
        }
        return place;
    }

    follow();
}

function parsed(text) {
    return new DOMParser().parseFromString(text, "text/html");
}

// Makes one element like another and keeps what is the same, so that focus, selections, open panels
// and half-filled fields stay. Nodes are known again by their ids, others by their places.
function become(old, fresh) {
    for (const { name } of [...old.attributes]) {
        if (!fresh.hasAttribute(name)) {
            old.removeAttribute(name);
        }
    }
    for (const { name, value } of fresh.attributes) {
        if (old.getAttribute(name) !== value) {
            old.setAttribute(name, value);
        }
    }
    const byId = new Map([...old.children].filter((node) => node.id).map((node) => [node.id, node]));
    let at = old.firstChild;
    for (const wanted of [...fresh.childNodes]) {
        const known = wanted.id ? byId.get(wanted.id) : isAlike(at, wanted) ? at : null;
        if (!known) {
            old.insertBefore(document.importNode(wanted, true), at);
            continue;
        }
        if (known === at) {
            at = at.nextSibling;
        } else {
            old.insertBefore(known, at);
        }
        if (known.nodeType === Node.ELEMENT_NODE) {
            become(known, wanted);
        } else if (known.nodeValue !== wanted.nodeValue) {
            known.nodeValue = wanted.nodeValue;
        }
    }
    while (at) {
        const next = at.nextSibling;
        if (at.dataset?.own === undefined) {
            at.remove();
        }
        at = next;
    }
}

function isAlike(node, wanted) {
    return node?.nodeName === wanted.nodeName && !node.id && node.dataset?.own === undefined;
}

// What had the focus may be gone: then what stands in its place has it.
function keepingFocus(change) {
    const focused = document.activeElement;
    const places = [];
    for (let node = focused; node; node = node.parentElement) {
        if (node.id) {
            places.push(node.id);
        }
    }
    change();
    if (document.activeElement === focused) {
        return;
    }
    if (focused.isConnected) {
        focused.focus({ preventScroll: true });
        return;
    }
    for (const place of places) {
        const next = document.getElementById(place)?.querySelector("button");
        if (next) {
            next.focus({ preventScroll: true });
            return;
        }
    }
}
