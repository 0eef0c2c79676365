// The clip's page. One video holds all tiles; each frame that the browser shows of it is taken once and cut into the
// tiles' canvases, so that they are of one frame by construction. Curves, scrubber and numbers follow that frame.
(() => {
  "use strict";

  const data = JSON.parse(document.getElementById("document").textContent);
  const find = (id) => document.getElementById(id);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const video = document.querySelector("#film video");
  const last = Math.max(0, data.frames - 1);
  const fps = data.rate ? data.rate[0] / data.rate[1] : 1;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  const state = { frame: 0, difference: false, gain: data.gain, hidden: new Set(), size: "m" };

  const clamp = (frame) => Math.min(last, Math.max(0, Math.round(frame)));
  // The middle of a frame's time: no rounding can then show its neighbour.
  const timeOf = (frame) => (frame + 0.5) / fps;

  function format(how, value) {
    return value === null || value === undefined ? "–" : (value * how.scale).toFixed(how.digits) + how.tail;
  }

  // ---- Tiles -------------------------------------------------------------------------------------------------

  const tiles = data.tiles.map((tile) => {
    const figure = document.querySelector(`[data-tile="${tile.key}"]`);
    const canvas = figure.querySelector("canvas");
    return { ...tile, figure, canvas, context: canvas.getContext("2d"), isMethod: /^\d+$/.test(tile.key) };
  });
  const truth = tiles.find((tile) => tile.key === "truth");

  // The video goes on while tiles are drawn, so that two of them taken from it could be of two frames.
  const taken = document.createElement("canvas");
  taken.width = 0;

  function take() {
    if (taken.width !== video.videoWidth) {
      taken.width = video.videoWidth;
      taken.height = video.videoHeight;
    }
    taken.getContext("2d", { alpha: false }).drawImage(video, 0, 0);
  }

  function cut(context, tile) {
    context.drawImage(taken, tile.left, tile.top, data.side, data.side, 0, 0, data.side, data.side);
  }

  function drawTiles() {
    if (!video || !taken.width) return;
    for (const tile of tiles) {
      if (tile.figure.hidden) continue;
      const { context, canvas } = tile;
      context.globalCompositeOperation = "source-over";
      cut(context, tile);
      if (!state.difference || !truth || !tile.isMethod) continue;
      context.globalCompositeOperation = "difference";
      cut(context, truth);
      // Added to itself, a picture doubles: that needs no filter, which not all browsers have.
      context.globalCompositeOperation = "lighter";
      for (let times = 1; times < state.gain; times *= 2) context.drawImage(canvas, 0, 0);
    }
  }

  // ---- Curves ------------------------------------------------------------------------------------------------

  const charts = all("[data-chart]").map((figure) => ({
    figure,
    plot: figure.querySelector(".plot"),
    svg: figure.querySelector(".plot svg"),
    cursor: figure.querySelector(".cursor"),
    readout: figure.querySelector(".readout"),
    ...data.charts[Number(figure.dataset.chart)],
  }));

  for (const chart of charts) {
    chart.cursor.hidden = false;
    chart.values = Object.entries(chart.lines).map(([run, values]) => {
      const item = document.createElement("span");
      const swatch = document.querySelector(`.legend [data-run="${run}"]`).parentElement.querySelector("svg");
      const text = document.createElement("span");
      item.append(swatch.cloneNode(true), text);
      chart.readout.append(item);
      return { run, values, item, text };
    });
    const seekTo = (event) => {
      const box = chart.plot.getBoundingClientRect();
      seek(Math.floor(((event.clientX - box.left) / box.width) * data.frames));
    };
    chart.plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      chart.plot.setPointerCapture(event.pointerId);
      pause();
      seekTo(event);
    });
    chart.plot.addEventListener("pointermove", (event) => {
      if (chart.plot.hasPointerCapture(event.pointerId)) seekTo(event);
    });
  }

  // A chart's scale is that of the curves that are shown: one method far off must not flatten all others.
  function rescale(chart) {
    const shown = chart.values.filter((value) => !state.hidden.has(value.run));
    const known = shown.flatMap((value) => value.values).filter((value) => value !== null);
    const span = data.height - 2 * data.margin;
    const low = known.length ? Math.min(...known) : chart.low;
    const high = known.length ? Math.max(...known) : chart.high;
    const perUnit = chart.high > chart.low ? span / (chart.high - chart.low) : 0;
    const yOf = (value) => (perUnit ? data.height - data.margin - (value - chart.low) * perUnit : data.height / 2);
    const stretch = high > low && perUnit ? ((high - low) * perUnit) / span : 1;
    const middle = (yOf(low) + yOf(high)) / 2;
    const height = data.height * stretch;
    chart.svg.setAttribute("viewBox", `0 ${middle - height / 2} ${data.width} ${height}`);
    chart.figure.querySelector(".low").textContent = format(chart.format, low);
    chart.figure.querySelector(".high").textContent = format(chart.format, high);
  }

  function drawCursors() {
    for (const chart of charts) {
      chart.cursor.style.left = `${((state.frame + 0.5) / data.frames) * 100}%`;
      for (const value of chart.values) value.text.textContent = format(chart.format, value.values[state.frame]);
    }
    for (const link of all("a[data-frame]")) {
      link.setAttribute("aria-current", String(Number(link.dataset.frame) === state.frame));
    }
  }

  // ---- The frame that is shown -------------------------------------------------------------------------------

  function show(frame) {
    state.frame = clamp(frame);
    if (video && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) take();
    drawTiles();
    drawCursors();
    if (!video) return;
    if (!seeking) find("scrubber").value = String(state.frame);
    find("position").textContent = `${state.frame} / ${last}`;
    find("stage").dataset.frame = String(state.frame);
  }

  // Seeks that come while one is under way wait, and only the newest of them is done.
  let seeking = false;
  let wanted = null;
  let target = 0;

  function seek(frame) {
    frame = target = clamp(frame);
    if (!video) {
      show(frame);
      return;
    }
    if (seeking) {
      wanted = frame;
      return;
    }
    seeking = true;
    video.currentTime = timeOf(frame);
  }

  function play() {
    // Refused only where the browser forbids it, and then the button still says so.
    video.play().catch(() => {});
  }
  function pause() {
    if (video) video.pause();
  }
  const toggle = () => (video.paused ? play() : pause());
  function step(frames) {
    pause();
    seek((seeking ? target : state.frame) + frames);
  }

  function follow() {
    if (video.requestVideoFrameCallback) {
      const onFrame = (now, meta) => {
        show(meta.mediaTime * fps);
        video.requestVideoFrameCallback(onFrame);
      };
      video.requestVideoFrameCallback(onFrame);
    } else {
      const onTick = () => {
        if (!video.paused) show(Math.floor(video.currentTime * fps));
        requestAnimationFrame(onTick);
      };
      requestAnimationFrame(onTick);
    }
    video.addEventListener("seeked", () => {
      seeking = false;
      show(Math.floor(video.currentTime * fps));
      if (wanted !== null) {
        const next = wanted;
        wanted = null;
        seek(next);
      } else if (video.paused) {
        keep();
      }
    });
    video.addEventListener("loadeddata", () => show(Math.floor(video.currentTime * fps)));
    for (const name of ["play", "pause"]) {
      video.addEventListener(name, () => {
        find("play").textContent = video.paused ? "▶" : "❚❚";
        find("play").setAttribute("aria-label", video.paused ? "Play" : "Pause");
        if (video.paused) keep();
      });
    }
  }

  // ---- Choices -----------------------------------------------------------------------------------------------

  function setDifference(on) {
    const button = find("difference");
    if (!button) return;
    state.difference = on;
    button.setAttribute("aria-pressed", String(on));
    for (const tile of tiles) {
      const mode = tile.figure.querySelector(".mode");
      if (mode) mode.hidden = !on;
    }
    drawTiles();
    keep();
  }

  function setRun(run, isShown) {
    if (isShown) state.hidden.delete(run);
    else state.hidden.add(run);
    for (const part of all(`[data-tile="${run}"], .chart path[data-run="${run}"], .worst > [data-run="${run}"]`)) {
      part.toggleAttribute("hidden", !isShown);
    }
    for (const chart of charts) {
      for (const value of chart.values) if (value.run === run) value.item.hidden = !isShown;
      rescale(chart);
    }
    const box = document.querySelector(`.legend [data-run="${run}"]`);
    if (box) box.checked = isShown;
    drawTiles();
    keep();
  }

  function setSize(size) {
    if (!["s", "m", "l"].includes(size)) return;
    state.size = size;
    find("stage").dataset.size = size;
    if (find("size")) find("size").value = size;
    keep();
  }

  // The place and the choices stand in the address, so that a link to a frame can be sent, and go on to the next clip.
  let isReady = false;

  function choices() {
    const fields = new URLSearchParams();
    if (state.difference) fields.set("difference", String(state.gain));
    if (state.hidden.size) fields.set("hide", [...state.hidden].join("."));
    if (state.size !== "m") fields.set("size", state.size);
    return fields;
  }

  function keep() {
    if (!isReady) return;
    const fields = choices();
    for (const id of ["previous-clip", "next-clip"]) {
      const link = find(id);
      if (link) link.hash = String(fields);
    }
    fields.set("frame", String(state.frame));
    try {
      history.replaceState(null, "", `#${fields}`);
    } catch { /* some browsers refuse it from disk, or when it comes too often */ }
  }

  function recall() {
    const fields = new URLSearchParams(location.hash.slice(1));
    const gain = Number(fields.get("difference"));
    if ([1, 2, 4, 8, 16].includes(gain) && find("gain")) {
      state.gain = gain;
      find("gain").value = String(gain);
      setDifference(true);
    }
    for (const run of (fields.get("hide") || "").split(".")) {
      if (document.querySelector(`.legend [data-run="${CSS.escape(run)}"]`)) setRun(run, false);
    }
    setSize(fields.get("size") || "m");
    const frame = Number(fields.get("frame"));
    return Number.isFinite(frame) ? clamp(frame) : 0;
  }

  // ---- Wiring ------------------------------------------------------------------------------------------------

  for (const box of all(".legend [data-run]")) {
    box.hidden = false;
    box.addEventListener("change", () => setRun(box.dataset.run, box.checked));
  }
  for (const link of all("a[data-frame]")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      pause();
      seek(Number(link.dataset.frame));
    });
  }

  // The worst frames of the methods that are shown, one after the other.
  let worst = -1;
  function nextWorst() {
    const links = all("details[open] a[data-frame]").filter((link) => !link.closest("[hidden]"));
    if (!links.length) return;
    worst = (worst + 1) % links.length;
    links[worst].click();
  }

  if (video) {
    find("film").classList.add("visually-hidden");
    find("film").setAttribute("aria-hidden", "true");
    video.controls = false;
    video.tabIndex = -1;
    for (const tile of tiles) tile.figure.hidden = false;
    find("bar").hidden = false;
    video.loop = !calm;
    find("loop").checked = video.loop;
    find("play").addEventListener("click", toggle);
    find("back").addEventListener("click", () => step(-1));
    find("on").addEventListener("click", () => step(1));
    find("scrubber").addEventListener("input", (event) => {
      pause();
      seek(Number(event.target.value));
    });
    find("difference")?.addEventListener("click", () => setDifference(!state.difference));
    find("gain")?.addEventListener("change", (event) => {
      state.gain = Number(event.target.value);
      setDifference(true);
    });
    find("speed").addEventListener("change", (event) => { video.playbackRate = Number(event.target.value); });
    find("size").addEventListener("change", (event) => setSize(event.target.value));
    find("loop").addEventListener("change", (event) => { video.loop = event.target.checked; });
    follow();
  }

  const start = recall();
  isReady = true;
  show(start);
  if (start) seek(start);
  keep();
  window.addEventListener("hashchange", () => seek(recall()));

  document.addEventListener("keydown", (event) => {
    if (!window.mcbenchKeys.isOurs(event) || find("help").open) return;
    const target = event.target;
    const isSlider = target instanceof HTMLInputElement && target.type === "range";
    // What has the focus keeps the keys that work it.
    const isPressed = target instanceof HTMLElement && target.matches("button, a, summary, input[type=checkbox]");
    if (event.key === " ") {
      if (isPressed || !video) return;
      toggle();
    } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      if (isSlider && !event.shiftKey) return;
      step((event.key === "ArrowLeft" ? -1 : 1) * (event.shiftKey ? 10 : 1));
    } else if (event.key === "Home" || event.key === "End") {
      step(event.key === "Home" ? -last : last);
    } else if (event.key === "d") {
      setDifference(!state.difference);
    } else if (event.key === "w") {
      nextWorst();
    } else if (/^[1-8]$/.test(event.key)) {
      const run = String(Number(event.key) - 1);
      if (!document.querySelector(`.legend [data-run="${run}"]`)) return;
      setRun(run, state.hidden.has(run));
    } else {
      return;
    }
    event.preventDefault();
  });
})();
