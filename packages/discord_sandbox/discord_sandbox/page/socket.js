// The tab's line to the sandbox: requests with answers, and pushes.

export class Line {
  constructor(onPush, onState) {
    this.onPush = onPush;
    this.onState = onState;
    this.number = 0;
    this.waiting = new Map();
    this.connect();
  }

  connect() {
    const asked = new URLSearchParams(location.search);
    const query = new URLSearchParams({ as: asked.get("as") || "", locale: asked.get("locale") || "" });
    this.socket = new WebSocket(`ws://${location.host}/page/socket?${query}`);
    this.socket.onopen = () => this.onState(true);
    this.socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    this.socket.onclose = () => {
      for (const { reject } of this.waiting.values()) reject(new Error("The connection to the sandbox is lost"));
      this.waiting.clear();
      this.onState(false);
      setTimeout(() => this.connect(), 1000);
    };
  }

  hear(payload) {
    if (payload.push) return this.onPush(payload);
    const call = this.waiting.get(payload.re);
    this.waiting.delete(payload.re);
    if (payload.error) call?.reject(new Error(payload.error));
    else call?.resolve(payload);
  }

  ask(what, more = {}) {
    const n = ++this.number;
    if (this.socket.readyState !== WebSocket.OPEN) return Promise.reject(new Error("The sandbox is not reachable"));
    this.socket.send(JSON.stringify({ n, do: what, ...more }));
    return new Promise((resolve, reject) => this.waiting.set(n, { resolve, reject }));
  }

  async upload(file) {
    const headers = { "X-Filename": encodeURIComponent(file.name), "Content-Type": file.type || "application/octet-stream" };
    const answer = await fetch("/page/files", { method: "POST", body: file, headers });
    if (!answer.ok) throw new Error("That file is too large");
    return (await answer.json()).file;
  }
}
