// The charts of the tab "Serializers": hand-drawn SVG, no library, nothing from another host.
// The page's own script shows a table in that tab; the charts stand above it.
"use strict";
(() => {
  const TAB = "serializers";
  const PERIOD_MS = 1000;
  const COLORS = ["#2e7d32", "#1565c0", "#ef6c00", "#6a1b9a", "#00838f", "#ad1457", "#558b2f", "#795548"];
  const PARTS = [
    ["serializer", "#ef6c00"], ["crypto", "#6a1b9a"], ["zmq", "#1565c0"],
    ["store", "#2e7d32"], ["rest", "#9e9e9e"],
  ];
  const LEFT = 165, WIDTH = 230, BAR = 14, GAP = 4, RIGHT = 210;
  const root = document.getElementById("greensalt");
  const base = document.currentScript.src.replace(/charts\.js.*$/, "");

  function svg(name, attributes, text) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function html(name, text) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    return node;
  }

  function head(text) {
    const node = html("h4", text);
    node.style.margin = "10px 0 2px";
    return node;
  }

  const digits = (ms) => (ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3));

  function canvas(lines) {
    const height = lines * (BAR + GAP) + GAP;
    return svg("svg", {
      viewBox: `0 0 ${LEFT + WIDTH + RIGHT} ${height}`, width: "100%",
      style: "max-width: 640px; display: block", role: "img",
      "font-size": 13, "font-family": "sans-serif", fill: "currentColor",
    });
  }

  function label(chart, y, left, right) {
    chart.append(
      svg("text", { x: LEFT - 8, y: y + 12, "text-anchor": "end" }, left),
      svg("text", { x: LEFT + WIDTH + 8, y: y + 12 }, right),
    );
  }

  // One bar for each serializer: the median, and whiskers to 95 and 99 per cent.
  function times(rows, lanes) {
    const chart = canvas(rows.length);
    chart.setAttribute("class", "times");
    const most = Math.max(...rows.map((row) => row.p99_ms), 0.001);
    rows.forEach((row, line) => {
      const y = GAP + line * (BAR + GAP), middle = y + BAR / 2;
      const x = (ms) => LEFT + (ms / most) * WIDTH;
      const color = COLORS[lanes.indexOf(row.lane) % COLORS.length];
      const whisker = { y1: middle, y2: middle, stroke: color };
      chart.append(
        svg("rect", { x: LEFT, y, width: x(row.p50_ms) - LEFT, height: BAR, fill: color }),
        svg("line", { ...whisker, x1: x(row.p50_ms), x2: x(row.p95_ms), "stroke-width": 5 }),
        svg("line", { ...whisker, x1: x(row.p95_ms), x2: x(row.p99_ms), "stroke-width": 1.5 }),
      );
      const failed = row.failures ? `, ${row.failures} failed` : "";
      const figures = [row.p50_ms, row.p95_ms, row.p99_ms].map(digits).join(" / ");
      label(chart, y, row.lane, `${figures} ms, n=${row.requests}${failed}`);
    });
    return chart;
  }

  // One bar for each serializer and payload: what the time of one return went into.
  function shares(parts) {
    const chart = canvas(parts.length);
    chart.setAttribute("class", "shares");
    parts.forEach((part, line) => {
      const y = GAP + line * (BAR + GAP);
      let x = LEFT;
      for (const [name, color] of PARTS) {
        const width = (part[name] / 100) * WIDTH;
        const bar = svg("rect", { x, y, width, height: BAR, fill: color });
        bar.append(svg("title", {}, `${name}: ${part[name]} %`));
        chart.append(bar);
        x += width;
      }
      label(chart, y, `${part.lane} ${part.payload}`, `of ${digits(part.accepted_ms)} ms`);
    });
    return chart;
  }

  function legend(entries) {
    const line = html("p");
    for (const [name, color] of entries) {
      const mark = html("span", "■ ");
      mark.style.color = color;
      line.append(mark, `${name}  `);
    }
    return line;
  }

  function draw(data) {
    const page = document.createDocumentFragment();
    const lanes = [...new Set(data.rows.map((row) => row.lane))].sort();
    for (const sentence of [...data.verdict, data.knee].filter(Boolean)) {
      const warning = html("p", sentence);
      warning.style.fontWeight = "bold";
      page.append(warning);
    }
    if (!data.rows.length) page.append(html("p", "No figures yet."));
    const grid = html("div");
    grid.style.cssText = "display: grid; gap: 4px 24px; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr))";
    for (const name of [...new Set(data.rows.map((row) => row.name))].sort()) {
      const cell = html("div");
      cell.append(head(name), times(data.rows.filter((row) => row.name === name), lanes));
      grid.append(cell);
    }
    page.append(grid);
    if (data.rows.length) {
      page.append(html("p", "Bars: median; thick line: up to 95 %; thin line: up to 99 %."));
    }
    if (data.parts.length) {
      const half = Math.ceil(data.parts.length / 2), both = html("div");
      both.style.cssText = grid.style.cssText;
      both.append(shares(data.parts.slice(0, half)), shares(data.parts.slice(half)));
      page.append(head("Where the time until a return is accepted goes"), legend(PARTS), both);
    }
    const used = data.usages.map((each) => `${each.name}: ${each.cpu_percent} % of a core, ${each.memory_mib} MiB`);
    if (used.length) page.append(head("CPU and memory"), html("p", used.join("; ")));
    root.replaceChildren(page);
  }

  // Right below the tabs, above the table, which is long. When the page leaves the tabs and takes
  // their container away, the element is still ours and goes back to the end of the page.
  function place() {
    const tabs = document.querySelector("[role=tablist]");
    const container = tabs && tabs.closest(".MuiContainer-root");
    if (!container) {
      if (root.parentElement !== document.body) document.body.append(root);
    } else if (root.parentElement !== container) {
      let bar = tabs;
      while (bar.parentElement !== container) bar = bar.parentElement;
      bar.after(root);
    }
  }

  async function refresh() {
    place();
    const shown = new URLSearchParams(location.search).get("tab") === TAB;
    root.style.display = shown ? "block" : "none";
    dense.media = shown ? "all" : "not all";
    if (!shown) return;
    const answer = await fetch(`${base}data`);
    if (answer.ok) draw(await answer.json());
  }

  // The application's rows are so high that a table of some serializers fills several screens.
  const dense = html("style", "#root .MuiTableCell-root { padding: 1px 12px; line-height: 1.5 }");
  dense.media = "not all";
  document.head.append(dense);
  root.style.cssText = "display: none; max-width: 1250px; margin: 0 auto 2em; font-family: sans-serif";
  setInterval(() => refresh().catch((error) => console.warn("charts:", error)), PERIOD_MS);
})();
