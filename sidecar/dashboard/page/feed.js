// Reads the sidecar: a stream of what changes, or, where there is none, the same by asking
// again and again. A hidden page reads nothing.

const POLL_MS = 2000;
const LOST_AFTER_MS = 3500;
const ANSWER_MAX_MS = 4000;

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MAX_MS), cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

export class Feed {
  // show is called with what is known, lost with the milliseconds since the last answer.
  constructor(show, lost) {
    this.show = show;
    this.lost = lost;
    this.state = null;
    this.range = "15m";
    this.answered = Date.now();
    this.stream = null;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    setInterval(() => this.watch(), POLL_MS);
    if (!document.hidden) this.open();
  }

  open() {
    this.close();
    this.stream = new EventSource("api/v1/stream");
    const on = (name, act) => this.stream.addEventListener(name, (event) => act(JSON.parse(event.data)));
    on("snapshot", (snapshot) => this.begin(snapshot));
    on("tick", (tick) => this.tick(tick));
    on("marker", (marker) => this.state?.markers.push(marker));
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }

  // begin takes everything anew, the history too.
  async begin(snapshot) {
    const history = await this.readHistory();
    if (!history) return;
    this.state = { ...snapshot, history };
    this.tell();
  }

  tell() {
    this.answered = Date.now();
    this.show(this.state);
  }

  async tick({ at, stats, sample }) {
    if (!this.state) return;
    Object.assign(this.state.stats, stats);
    const { history } = this.state;
    if (history.interval_seconds === 1) {
      for (const name in history.series) {
        history.series[name].push(sample[name] ?? null);
        if (history.series[name].length > history.length_max) history.series[name].shift();
      }
      history.end = at;
    } else if (at - history.end > 2 * history.interval_seconds) {
      history.end = at;
      this.state.history = (await this.readHistory()) ?? history;
    }
    this.tell();
  }

  async readHistory() {
    try {
      return await get(`api/v1/history?range=${this.range}`);
    } catch {
      return null; // watch notices
    }
  }

  async choose(range) {
    this.range = range;
    const history = await this.readHistory();
    if (!history || !this.state || history.range !== this.range) return;
    this.state.history = history;
    this.show(this.state);
  }

  // watch asks where the stream says nothing, and makes another one if it has given up.
  async watch() {
    if (document.hidden || Date.now() - this.answered < LOST_AFTER_MS) return;
    if (this.stream?.readyState === EventSource.CLOSED) this.open();
    try {
      await this.begin(await get("api/v1/snapshot"));
    } catch {
      // It is down, and comes back or not.
    }
    if (Date.now() - this.answered > LOST_AFTER_MS) this.lost(Date.now() - this.answered);
  }
}

// post asks for an action, and returns its answer or throws what was said against it.
export async function post(path, body, token) {
  const answer = await fetch(path, {
    method: "POST", body: JSON.stringify(body), cache: "no-store",
    headers: { "Content-Type": "application/json", "X-Freshet-CSRF": token },
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `status ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

export { get };
