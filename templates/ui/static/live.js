// Keeps the list of incidents fresh while somebody looks at it. The page is whole without it.
const PAUSE = 15000; // milliseconds

async function refresh() {
  const live = document.getElementById("live");
  if (!live || document.hidden || live.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("live");
    if (fresh && !live.contains(document.activeElement)) live.replaceWith(fresh);
  } catch {
    // not reachable now; what is shown stays
  }
}

if (document.getElementById("live")) setInterval(refresh, PAUSE);
