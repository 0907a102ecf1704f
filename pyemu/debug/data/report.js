"use strict";
(() => {
  window.addEventListener("error", (event) => {
    const box = document.getElementById("error");
    box.hidden = false;
    box.textContent = `This page failed: ${event.message}`;
  });

  const SPACE = 2 ** 32;
  const MIN_SPAN = 64 * 1024;
  const MIN_WIDTH = 2;  // pixels of a mapping, however small it is
  const NEAR = 5;  // pixels beside a mapping in which a click means it
  const MAX_LABELS = 24;  // mappings in the window that have their names written to them
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const ranges = data.ranges.map(([va, size, pa, leaf, level, kind]) =>
    ({ va, size, pa, leaf, level, end: va + size, kind: data.kinds[kind] }));
  const hex = (value, width = 8) => "0x" + value.toString(16).padStart(width, "0");
  const sized = (bytes) => {
    const units = ["bytes", "KB", "MB", "GB", "TB"];
    let unit = 0;
    while (bytes >= 1024 && bytes % 1024 === 0 && unit < 4) { bytes /= 1024; unit += 1; }
    return `${bytes} ${units[unit]}`;
  };
  const about = (bytes) => {
    const units = ["bytes", "KB", "MB", "GB"];
    let unit = 0;
    while (bytes >= 1024 && unit < 3) { bytes /= 1024; unit += 1; }
    return `${Number.isInteger(bytes) ? bytes : bytes.toFixed(1)} ${units[unit]}`;
  };
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== undefined) { element.textContent = text; }
    Object.assign(element, attributes);
    return element;
  };

  // ---- colours ----

  const PALETTE = {
    code: "#2f7fb5", rodata: "#8a9ba8", rw: "#4d9a57", wx: "#d1362f", usercode: "#7a5bc0", userro: "#b79bd8",
    userrw: "#d99b1f", userwx: "#e0559a", none: "#777777",
  };
  const HUES = ["#2f7fb5", "#4d9a57", "#d99b1f", "#7a5bc0", "#d1362f", "#3aa6a0", "#e0559a", "#8a9ba8", "#9a6b3f", "#5b6ee0"];
  const access = (kind) => {
    const { kernel, user } = kind;
    if (user !== "---") {
      if (user.includes("w")) { return user.includes("x") ? ["user rwx", PALETTE.userwx] : ["user rw", PALETTE.userrw]; }
      return user.includes("x") ? ["user code", PALETTE.usercode] : ["user read-only", PALETTE.userro];
    }
    if (kernel === "---") { return ["no access", PALETTE.none]; }
    if (kernel.includes("w")) { return kernel.includes("x") ? ["privileged rwx", PALETTE.wx] : ["privileged rw", PALETTE.rw]; }
    return kernel.includes("x") ? ["privileged code", PALETTE.code] : ["privileged read-only", PALETTE.rodata];
  };
  const byValue = (value) => {
    const seen = new Map();
    return (range) => {
      const name = value(range);
      if (!seen.has(name)) { seen.set(name, HUES[seen.size % HUES.length]); }
      return [name, seen.get(name)];
    };
  };
  const SCHEMES = {
    "permissions": (range) => access(range.kind),
    "memory type": byValue((range) => range.kind.memory),
    "shareability": byValue((range) => range.kind.shareability),
    "leaf size": byValue((range) => sized(range.leaf)),
    "flags": byValue((range) => range.kind.flags || "none"),
  };
  let scheme = "permissions";
  const coloured = (range) => SCHEMES[scheme](range);

  // ---- the map ----

  const view = { start: 0, span: SPACE };
  let selected = null;
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const surface = (id) => {
    const canvas = $(id);
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = Number(canvas.getAttribute("data-height") || canvas.getAttribute("height"));
    canvas.setAttribute("data-height", height);
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = style("--hole");
    context.fillRect(0, 0, width, height);
    context.font = "11px ui-monospace, monospace";
    return { context, width, height };
  };

  // The first range that ends above an address: ranges are sorted.
  const firstAfter = (address) => {
    let low = 0, high = ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ranges[middle].end <= address) { low = middle + 1; } else { high = middle; }
    }
    return low;
  };

  const strip = (context, width, top, height, start, span) => {
    for (let i = firstAfter(start); i < ranges.length && ranges[i].va < start + span; i += 1) {
      const left = Math.max(0, (ranges[i].va - start) / span * width);
      const right = Math.min(width, (ranges[i].end - start) / span * width);
      context.fillStyle = coloured(ranges[i])[1];
      context.fillRect(left, top, Math.max(MIN_WIDTH, right - left), height);
    }
  };

  const drawOverview = () => {
    const { context, width, height } = surface("overview");
    strip(context, width, 0, height, 0, SPACE);
    const left = view.start / SPACE * width;
    const wide = Math.max(3, view.span / SPACE * width);
    context.strokeStyle = style("--mark");
    context.lineWidth = 2;
    context.strokeRect(left + 1, 1, Math.max(1, wide - 2), height - 2);
  };

  const step = (span, width) => {
    let size = 4096;
    while (span / size > Math.max(1, width / 80)) { size *= 2; }
    return size;
  };

  const plate = (context, text, x, y) => {
    context.globalAlpha = 0.85;
    context.fillStyle = style("--panel");
    context.fillRect(x - 3, y - 10, context.measureText(text).width + 6, 14);
    context.globalAlpha = 1;
    context.fillStyle = style("--text");
    context.fillText(text, x, y);
  };

  // Where registers point to: a triangle each, its name beside it, in rows from the bottom.
  const drawMarks = (context, width, base, start, span) => {
    const ends = [];
    for (const mark of data.marks) {
      const x = (mark.va - start) / span * width;
      if (x < 0 || x >= width) { continue; }
      const wide = context.measureText(mark.name).width + 14;
      const left = Math.min(x, width - wide);
      let row = 0;
      while (row < ends.length && ends[row] > left) { row += 1; }
      ends[row] = left + wide;
      const y = base - 5 - 16 * row;
      plate(context, mark.name, left + 8, y);
      context.fillStyle = style("--mark");
      context.beginPath();
      context.moveTo(x, y + 5);
      context.lineTo(x - 5, y - 6);
      context.lineTo(x + 5, y - 6);
      context.fill();
    }
  };

  // Names of a few mappings: each in the first row where it meets no other.
  const label = (context, width, top, bottom, start, span) => {
    const shown = [];
    for (let i = firstAfter(start); i < ranges.length && ranges[i].va < start + span; i += 1) {
      if (shown.push(ranges[i]) > MAX_LABELS) { return; }
    }
    const ends = [];
    for (const range of shown) {
      const text = `${hex(range.va)} ${sized(range.size)} ${range.kind.kernel} ${range.kind.user}`;
      const wide = context.measureText(text).width + 8;
      const left = Math.max(0, Math.min((range.va - start) / span * width + MIN_WIDTH, width - wide));
      let row = 0;
      while (row < ends.length && ends[row] > left) { row += 1; }
      const y = top + 15 + 16 * row;
      if (y < bottom) {
        ends[row] = left + wide;
        plate(context, text, left + 4, y);
      }
    }
  };

  const drawMap = () => {
    const { context, width, height } = surface("map");
    const { start, span } = view;
    const base = height - 20;
    const areaTop = data.areas.length ? 18 : 0;
    strip(context, width, areaTop, base - areaTop, start, span);
    label(context, width, areaTop, base - 16 * data.marks.length, start, span);
    drawMarks(context, width, base, start, span);
    if (selected) {
      const left = (selected.va - start) / span * width;
      const wide = Math.max(2, selected.size / span * width);
      context.strokeStyle = style("--mark");
      context.lineWidth = 2;
      context.strokeRect(left, areaTop + 1, wide, base - areaTop - 2);
    }
    context.fillStyle = style("--text");
    data.areas.forEach((area, i) => {
      const end = i + 1 < data.areas.length ? data.areas[i + 1].va : SPACE;
      const left = Math.max(0, (area.va - start) / span * width);
      const right = Math.min(width, (end - start) / span * width);
      if (right <= 0 || left >= width) { return; }
      context.fillRect(left, 0, 1, areaTop);
      if (right - left > context.measureText(area.name).width + 8) { context.fillText(area.name, left + 4, 12); }
    });
    const tick = step(span, width);
    context.fillStyle = style("--dim");
    for (let at = Math.ceil(start / tick) * tick; at <= start + span; at += tick) {
      const x = (at - start) / span * width;
      context.fillRect(x, base, 1, 5);
      if (x + 72 < width) { context.fillText(hex(at), x + 2, height - 4); }
    }
    $("window").textContent = `${hex(start)} to ${hex(start + span - 1)} (${about(span)})`;
  };

  const physical = data.memory.map((segment) => ({ ...segment }));
  const drawPhysical = () => {
    const { context, width } = surface("physical");
    const total = physical.reduce((sum, segment) => sum + segment.size, 0);
    let left = 0;
    for (const segment of physical) {
      const wide = segment.size / total * width;
      const place = (pa) => left + (pa - segment.base) / segment.size * wide;
      context.fillStyle = style("--line");
      context.fillRect(left, 4, Math.max(1, wide - 2), 26);
      for (let i = firstAfter(view.start); i < ranges.length && ranges[i].va < view.start + view.span; i += 1) {
        const range = ranges[i];
        const low = Math.max(range.pa, segment.base);
        const high = Math.min(range.pa + range.size, segment.base + segment.size);
        if (low < high) {
          context.fillStyle = coloured(range)[1];
          context.fillRect(place(low), 4, Math.max(1, place(high) - place(low)), 26);
        }
      }
      if (selected && selected.pa >= segment.base && selected.pa < segment.base + segment.size) {
        context.strokeStyle = style("--mark");
        context.lineWidth = 2;
        context.strokeRect(place(selected.pa), 3, Math.max(2, selected.size / segment.size * wide), 28);
      }
      context.fillStyle = style("--dim");
      const name = segment.readonly ? "flash" : "";
      const texts = [`${hex(segment.base)} ${sized(segment.size)} ${name}`, hex(segment.base), name];
      const text = texts.find((each) => context.measureText(each).width + 6 < wide);
      if (text) { context.fillText(text, left + 2, 46); }
      left += wide;
    }
  };

  const drawLegend = () => {
    const totals = new Map();
    for (const range of ranges) {
      const [name, colour] = coloured(range);
      const entry = totals.get(name) || { colour, size: 0 };
      entry.size += range.size;
      totals.set(name, entry);
    }
    $("legend").replaceChildren(...[...totals].map(([name, { colour, size }]) => {
      const item = make("span", `${name}: ${about(size)}`);
      const patch = make("i");
      patch.style.background = colour;
      item.prepend(patch);
      return item;
    }));
  };

  const describe = (range) => [
    `${hex(range.va)}-${hex(range.end - 1)}  ${sized(range.size)}, in leaves of ${sized(range.leaf)}, level ${range.level}`,
    `-> ${hex(range.pa)}  privileged ${range.kind.kernel}, user ${range.kind.user}, ${range.kind.memory}, ` +
      `${range.kind.shareability}${range.kind.flags ? ", " + range.kind.flags : ""}`,
  ].join("\n");

  const draw = () => { drawOverview(); drawMap(); drawPhysical(); };

  const show = (start, span) => {
    view.span = Math.min(SPACE, Math.max(MIN_SPAN, span));
    view.start = Math.max(0, Math.min(SPACE - view.span, Math.round(start)));
    draw();
  };
  const zoom = (factor, share = 0.5) => {
    const span = Math.min(SPACE, Math.max(MIN_SPAN, view.span * factor));
    show(view.start + (view.span - span) * share, span);
  };
  const select = (range) => {
    selected = range;
    $("selected").textContent = range ? describe(range) : "";
    draw();
  };
  const at = (address) => {
    const range = ranges[firstAfter(address)];
    return range && range.va <= address ? range : null;
  };
  // The mapping at a pixel, or close by: small ones are hard to hit.
  const near = (x) => {
    const address = Math.floor(view.start + x / map.clientWidth * view.span);
    const index = firstAfter(address);
    const away = (range) => Math.max(range.va - address, address - range.end + 1, 0) / view.span * map.clientWidth;
    const found = [ranges[index], ranges[index - 1]].filter((range) => range && away(range) <= NEAR);
    return found.sort((a, b) => away(a) - away(b))[0] || null;
  };
  const frame = (range) => {
    selected = range;
    $("selected").textContent = describe(range);
    show(range.va - range.size, range.size * 3);
    $("map-section").scrollIntoView({ block: "nearest" });
  };
  const go = (direction) => {
    const here = selected ? ranges.indexOf(selected) + direction : direction > 0 ? 0 : ranges.length - 1;
    if (ranges[here]) { frame(ranges[here]); }
  };

  const map = $("map");
  const share = (event) => event.offsetX / map.clientWidth;
  map.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY > 0 ? 1.5 : 1 / 1.5, share(event));
  }, { passive: false });
  let drag = null;
  map.addEventListener("pointerdown", (event) => {
    drag = { x: event.clientX, start: view.start, moved: false };
    map.setPointerCapture(event.pointerId);
  });
  map.addEventListener("pointermove", (event) => {
    if (drag) {
      const moved = event.clientX - drag.x;
      drag.moved = drag.moved || Math.abs(moved) > 3;
      show(drag.start - moved / map.clientWidth * view.span, view.span);
    } else {
      const range = near(event.offsetX);
      map.title = range ? describe(range) : "not mapped";
    }
  });
  map.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) { select(near(event.offsetX)); }
    drag = null;
  });
  map.addEventListener("keydown", (event) => {
    const moves = { "ArrowLeft": -0.2, "ArrowRight": 0.2 };
    if (event.key === "+" || event.key === "=") { zoom(0.5); }
    else if (event.key === "-") { zoom(2); }
    else if (event.key === "0") { show(0, SPACE); }
    else if (event.key === "n") { go(1); }
    else if (event.key === "p") { go(-1); }
    else if (event.key in moves) { show(view.start + moves[event.key] * view.span, view.span); }
    else { return; }
    event.preventDefault();
  });
  $("overview").addEventListener("click", (event) => {
    show(event.offsetX / event.target.clientWidth * SPACE - view.span / 2, view.span);
  });
  $("in").addEventListener("click", () => zoom(0.5));
  $("out").addEventListener("click", () => zoom(2));
  $("before").addEventListener("click", () => go(-1));
  $("next").addEventListener("click", () => go(1));
  $("all").addEventListener("click", () => show(0, SPACE));
  const goTo = (text) => {
    const address = parseInt(text, 16);
    if (!(address >= 0 && address < SPACE)) { return; }
    const range = at(address);
    if (range) { frame(range); } else { show(address - (1 << 19), 1 << 20); }
  };
  $("goto").addEventListener("change", (event) => goTo(event.target.value));
  for (const name of Object.keys(SCHEMES)) { $("colour").append(make("option", name)); }
  $("colour").addEventListener("change", (event) => { scheme = event.target.value; drawLegend(); draw(); });
  window.addEventListener("resize", draw);

  // ---- tables ----

  const row = (cells, tag = "td", numbers = []) => {
    const line = make("tr");
    cells.forEach((cell, i) => line.append(make(tag, cell, { className: numbers.includes(i) ? "number" : "" })));
    return line;
  };

  const MAX_ROWS = 1000;
  const fillRanges = () => {
    const wanted = $("filter").value.trim().toLowerCase();
    const shown = ranges.filter((range) => !wanted || describe(range).toLowerCase().includes(wanted));
    const table = $("ranges");
    table.replaceChildren(row(["virtual", "size", "physical", "leaf", "priv", "user", "memory", "shareability", "flags"], "th", [1, 3]));
    for (const range of shown.slice(0, MAX_ROWS)) {
      const { kernel, user, memory, shareability, flags } = range.kind;
      const cells = [`${hex(range.va)}-${hex(range.end - 1)}`, sized(range.size), hex(range.pa), sized(range.leaf), kernel, user, memory, shareability, flags];
      const line = row(cells, "td", [1, 3]);
      line.className = "link";
      line.addEventListener("click", () => frame(range));
      table.append(line);
    }
    const bytes = shown.reduce((sum, range) => sum + range.size, 0);
    $("range-count").textContent = `${shown.length} ranges, ${about(bytes)}` + (shown.length > MAX_ROWS ? `; the first ${MAX_ROWS} are listed` : "");
  };
  $("filter").addEventListener("input", fillRanges);

  // The list is in the order of addresses, each table before those below it.
  const nested = (tables) => {
    const top = { below: [] }, path = [top];
    for (const table of tables) {
      const node = { ...table, below: [] };
      while (path.length > 1 && path[path.length - 1].level >= table.level) { path.pop(); }
      path[path.length - 1].below.push(node);
      path.push(node);
    }
    return top.below;
  };

  const branch = (table, open) => {
    const text = `L${table.level} table ${hex(table.pa)}  ${hex(table.va)}-${hex(table.va + table.size - 1)} (${sized(table.size)})  ` +
      (table.readable ? `${table.leaves} leaves, ${table.tables} tables, ${table.invalid} invalid` : "outside memory");
    if (!table.below.length) {
      return make("div", text, { className: "leaf" });
    }
    const details = make("details", undefined, { open });
    details.append(make("summary", text));
    const fill = () => {
      if (details.open && details.children.length === 1) { details.append(...table.below.map((each) => branch(each, false))); }
    };
    details.addEventListener("toggle", fill);
    fill();
    return details;
  };

  const fillTlb = () => {
    const tlb = data.tlb;
    $("tlb-section").hidden = false;
    const stale = tlb.entries.filter((entry) => entry.stale).length;
    $("tlb-summary").textContent = `${tlb.entries.length} entries, ${stale} of them not what the tables say now; ` +
      `${tlb.main_misses} misses of the main TLB, ${tlb.evictions} evictions, ${tlb.invalidated} invalidated, ${tlb.stale_hits} stale hits`;
    const table = $("tlb");
    table.append(row(["array", "virtual", "size", "physical", "ASID", "priv", "user", "memory", "tables say"], "th", [2]));
    for (const entry of tlb.entries.slice(0, MAX_ROWS)) {
      const asid = entry.asid === null ? "global" : String(entry.asid);
      const line = row([entry.array, hex(entry.va), sized(entry.size), hex(entry.pa), asid, entry.kernel, entry.user, entry.memory, entry.stale ? entry.tables : "the same"], "td", [2]);
      if (entry.stale) { line.className = "stale"; }
      table.append(line);
    }
  };

  const fillBill = () => {
    const bill = data.bill;
    $("bill-section").hidden = false;
    const cpi = bill.insns ? (bill.cycles / bill.insns).toFixed(2) : "-";
    $("bill-summary").textContent = `${bill.cycles.toLocaleString("en")} cycles of ${bill.core}, ${bill.insns.toLocaleString("en")} instructions, CPI ${cpi}`;
    const table = $("bill");
    table.append(row(["", "cycles", "share", "events", ""], "th", [1, 2, 3]));
    for (const item of bill.rows) {
      const part = bill.cycles ? item.cycles / bill.cycles : 0;
      const line = row([item.name, item.cycles.toLocaleString("en"), `${(100 * part).toFixed(2)} %`, item.events.toLocaleString("en"), ""], "td", [1, 2, 3]);
      const meter = make("span", undefined, { className: "meter" });
      meter.style.width = `${Math.round(300 * part)}px`;
      line.lastChild.append(meter);
      table.append(line);
    }
  };

  $("title").textContent = data.name;
  document.title = `${data.name}: pyemu report`;
  $("subtitle").textContent = `CPU ${data.cpu} of ${data.cpus}, ` +
    (data.mmu_on ? `${data.format} descriptors, ${about(data.mapped)} mapped in ${ranges.length} ranges` : "MMU off: addresses are physical") +
    (data.pc ? `, PC ${data.pc}` : "") + (data.contiguous ? "" : "; too many ranges: those alike are joined");
  const { state, findings, notes, checked } = data.findings;
  $("state").textContent = findings.length || !checked ? state : `${state}: no finding`;
  for (const each of findings) {
    const item = make("li");
    item.append(make("b", each.check), `: ${each.text}`, make("small", `the architecture: ${each.asks} (ARM DDI 0406C ${each.section})`));
    $("findings").append(item);
  }
  $("notes").append(...notes.map((note) => make("li", note)));
  for (const each of data.registers) {
    const line = row([each.name.toUpperCase(), each.value, each.fields]);
    line.title = each.lines.join("\n");
    $("regime").append(line);
  }
  fillRanges();
  $("tree").replaceChildren(...data.tree.roots.map((root) => make("div", root)), ...nested(data.tree.tables).map((table) => branch(table, true)));
  if (data.tree.cut) { $("tree").append(make("p", "More tables are not shown.")); }
  if (data.tlb) { fillTlb(); }
  if (data.bill) { fillBill(); }
  drawLegend();
  draw();
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (wanted.has("colour") && wanted.get("colour") in SCHEMES) { $("colour").value = scheme = wanted.get("colour"); drawLegend(); draw(); }
  if (wanted.has("va")) { goTo(wanted.get("va")); }
  document.body.dataset.ready = "true";
})();
