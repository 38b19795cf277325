// The site's search is a worker, and browsers start none for pages that are opened as files: there a hidden frame is the worker.
// Material for MkDocs looks for what is called IFrameWorker.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      const inside = frame.contentWindow
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
      inside.importScripts = (...urls) => urls.reduce((before, each) => before.then(() => load(each)), Promise.resolve())
      const load = (src) => new Promise((loaded, failed) => {
        const script = inside.document.createElement("script")
        Object.assign(script, { src, onload: loaded, onerror: failed })
        inside.document.body.append(script)
      })
      this.inside = inside
      this.ready = load(url)
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.inside.frameElement.remove()
    }
  }
}
