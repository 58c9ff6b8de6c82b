// Sorting, filtering, budgets and charts. Everything works on what the page contains; texts from a
// run are set as text and as data of charts, never as HTML or as expressions.
"use strict";
(() => {
  const themes = JSON.parse(document.getElementById("themes").textContent);
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The state of the page is in the fragment of its address, so that a link reproduces a view.
  const state = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const remember = (key, value) => {
    if (value === "" || value === null) state.delete(key);
    else state.set(key, value);
    const text = state.toString();
    history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
  };

  // Theme.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const themeButton = document.getElementById("theme");
  const NEXT = { system: "light", light: "dark", dark: "system" };
  const theme = () => (Object.hasOwn(NEXT, state.get("theme")) ? state.get("theme") : "system");
  const isDark = () => theme() === "dark" || (theme() === "system" && dark.matches);
  const showTheme = () => {
    if (theme() === "system") root.removeAttribute("data-theme");
    else root.dataset.theme = theme();
    themeButton.textContent = "Theme: " + theme();
  };
  themeButton.addEventListener("click", () => {
    const next = NEXT[theme()];
    remember("theme", next === "system" ? "" : next);
    showTheme();
    redrawAll();
  });
  dark.addEventListener("change", () => redrawAll());
  showTheme();

  // Links to sections keep the state.
  all("nav a, .skip").forEach((link) =>
    link.addEventListener("click", (event) => {
      const target = document.getElementById(link.hash.slice(1));
      if (!target) return;
      event.preventDefault();
      target.scrollIntoView();
      target.tabIndex = -1;
      target.focus({ preventScroll: true });
    })
  );

  // Charts.
  const charts = new Map();
  const changed = (node, path, value) => {
    if (!path.length) return value[0];
    const [key, ...rest] = path;
    const copy = Array.isArray(node) ? node.slice() : { ...node };
    if (rest.length || value.length) copy[key] = changed(node[key], rest, value);
    else delete copy[key];
    return copy;
  };

  class Chart {
    constructor(figure, id) {
      this.figure = figure;
      this.id = id;
      this.key = figure.id.replace(id + "-", id + ".");
      this.plot = figure.querySelector(".plot");
      this.signals = {};
      this.selects = all("select", figure);
      for (const select of this.selects) {
        const kept = state.get(this.stateKey(select));
        if (kept !== null) this.choose(select, kept);
        select.addEventListener("change", () => {
          remember(this.stateKey(select), select.selectedIndex ? select.value : "");
          if (select.dataset.choice === "pair") choosePair(this.id, select.value);
          else this.draw();
        });
      }
      figure.querySelector(".choices").hidden = !this.selects.length;
      figure.querySelector(".below").hidden = false;
      figure.querySelector(".save").addEventListener("click", () => this.save());
      figure.querySelector(".data").addEventListener("toggle", () => this.fill());
    }
    get content() {
      this.parsed ??= JSON.parse(this.figure.querySelector(".spec").textContent);
      return this.parsed;
    }
    stateKey(select) {
      // Both charts of a pair show the same one.
      const name = select.dataset.choice;
      return name === "pair" ? this.id + ".pair" : this.key + "." + name;
    }
    choose(select, value) {
      const turned = value.split("~").reverse().join("~");
      const found = [...select.options].find((o) => o.value === value || o.value === turned);
      if (found) select.value = found.value;
      return Boolean(found);
    }
    spec() {
      let spec = this.content.spec;
      const notes = [];
      const sentences = [];
      for (const choice of this.content.choices) {
        const select = this.selects.find((each) => each.dataset.choice === choice.name);
        const option = select ? choice.options[select.selectedIndex] : choice.options[0];
        for (const [path, value] of option.changes) spec = changed(spec, path, value);
        if (option.note) notes.push(option.note);
        if (option.sentence) sentences.push(option.sentence);
      }
      // The sentence is about the defaults: with other choices it could contradict the chart.
      const usual = this.selects.every((select) => select.selectedIndex === 0);
      const { title, sentence } = this.content;
      this.figure.querySelector("h3").textContent = sentences.join(" ") || (usual && sentence) || title;
      this.figure.querySelector(".note").textContent = notes.join(" ");
      return { ...spec, width: spec.width || "container", height: spec.height || 300 };
    }
    config() {
      const config = themes[isDark() ? "dark" : "light"];
      const narrow = this.plot.clientWidth < 560;
      return narrow ? { ...config, legend: { ...config.legend, orient: "bottom", columns: 2 } } : config;
    }
    rows() {
      // Those that are drawn: charts choose them by the value of a field.
      const spec = this.spec();
      const parts = [spec, ...(spec.layer || [])].flatMap((part) => part.transform || []);
      const filters = parts.map((each) => each.filter).filter((each) => each && each.field);
      return spec.data.values.filter((row) =>
        filters.every((f) => (f.oneOf ? f.oneOf.includes(row[f.field]) : row[f.field] === f.equal))
      );
    }
    async draw() {
      this.drawn = true;
      this.fill();
      const turn = (this.turn = (this.turn || 0) + 1);
      const place = document.createElement("div");
      try {
        if (this.view) this.view.finalize();
        this.view = null;
        const spec = this.spec();
        this.plot.replaceChildren(place);
        const found = await vegaEmbed(place, spec, {
          ast: true, // interpret expressions: the page's policy forbids eval
          actions: false,
          logLevel: 1, // errors
          defaultStyle: false,
          renderer: "svg",
          config: this.config(),
          tooltip: { disableDefaultStyle: true },
        });
        if (turn !== this.turn) {
          found.view.finalize();
          return;
        }
        this.view = found.view;
        for (const [name, value] of Object.entries(this.signals)) this.signal(name, value);
        this.view.addEventListener("click", (event, item) => {
          const pair = item && item.datum && item.datum.pair;
          if (typeof pair === "string") choosePair(this.id, pair, true);
        });
      } catch (error) {
        place.textContent = "This chart cannot be drawn: " + error.message;
        console.error(error);
      }
    }
    signal(name, value) {
      this.signals[name] = value;
      if (!this.view) return;
      try {
        this.view.signal(name, value).run();
      } catch {
        // This chart has no such limit.
      }
    }
    save() {
      const done = (text) => download(text, "image/svg+xml", this.figure.dataset.kind + ".svg");
      const drawn = this.view ? Promise.resolve() : this.draw();
      drawn.then(() => this.view && this.view.toSVG().then(done));
    }
    fill() {
      const details = this.figure.querySelector(".data");
      if (!details.open) return;
      const box = details.querySelector(".scroll");
      box.replaceChildren();
      const rows = this.rows();
      const fields = Object.entries(this.content.fields);
      const table = document.createElement("table");
      const line = (cells, tag, within) => {
        const row = within.appendChild(document.createElement("tr"));
        for (const cell of cells) row.appendChild(document.createElement(tag)).textContent = cell;
      };
      line(fields.map(([, title]) => title), "th", table.createTHead());
      const body = table.createTBody();
      const MOST = 1000;
      for (const row of rows.slice(0, MOST)) line(fields.map(([name]) => shown(row[name])), "td", body);
      box.append(table);
      if (rows.length > MOST) box.append(`The first ${MOST} of ${rows.length} rows.`);
    }
  }
  const shown = (value) =>
    value === null || value === undefined ? "n/a"
      : typeof value === "number" ? String(Number(value.toPrecision(6))) : String(value);

  const download = (text, type, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name.replace(/[^\w.-]+/g, "-");
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  const choosePair = (id, pair, scroll = false) => {
    for (const chart of charts.values()) {
      if (chart.id !== id) continue;
      for (const select of chart.selects) {
        if (select.dataset.choice !== "pair" || !chart.choose(select, pair)) continue;
        remember(id + ".pair", select.value);
        chart.draw();
      }
    }
    const figure = document.getElementById(id + "-pair-seeds");
    if (scroll && figure) figure.scrollIntoView({ behavior: "smooth", block: "center" });
  };
  const redrawAll = () => charts.forEach((chart) => chart.drawn && chart.draw());

  const seen = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        const chart = charts.get(entry.target);
        if (entry.isIntersecting && chart && !chart.drawn) chart.draw();
      }
    },
    { rootMargin: "300px" }
  );
  // What is printed has to be drawn before.
  addEventListener("beforeprint", () => charts.forEach((chart) => chart.drawn || chart.draw()));

  // Tables.
  const byKey = (place, direction) => (a, b) => {
    const [x, y] = [a, b].map((row) => row.cells[place].dataset.key);
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const [p, q] = [JSON.parse(x), JSON.parse(y)];
    return direction * (typeof p === "string" ? p.localeCompare(q) : p - q);
  };

  const setUpTable = (section) => {
    const id = section.dataset.id;
    const table = section.querySelector("table.results");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const tools = section.querySelector(".tools");
    tools.hidden = false;

    const sort = (place, direction) => {
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[place].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      body.append(...rows.slice().sort(byKey(place, direction)));
    };
    heads.forEach((head, place) => {
      head.querySelector("button").addEventListener("click", () => {
        const first = head.dataset.higher === undefined ? 1 : -1;
        const now = head.getAttribute("aria-sort");
        const direction = now === null ? first : now === "ascending" ? -1 : 1;
        sort(place, direction);
        remember(id + ".sort", (direction > 0 ? "" : "-") + head.dataset.id);
      });
    });
    const kept = state.get(id + ".sort");
    if (kept) {
      const place = heads.findIndex((head) => head.dataset.id === kept.replace(/^-/, ""));
      if (place >= 0) sort(place, kept.startsWith("-") ? -1 : 1);
    }

    const filter = section.querySelector(".filter");
    const applyFilter = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const text = (row.cells[0].textContent + " " + row.cells[1].textContent).toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      const seen = rows.filter((row) => !row.hidden).length;
      section.querySelector(".shown").textContent = words.length ? `${seen} of ${rows.length} shown` : "";
    };
    filter.value = state.get(id + ".filter") || "";
    filter.addEventListener("input", () => {
      remember(id + ".filter", filter.value);
      applyFilter();
    });
    applyFilter();

    const intervals = section.querySelector(".intervals");
    const showIntervals = () => all(".interval", body).forEach((each) => (each.hidden = !intervals.checked));
    intervals.checked = state.get(id + ".intervals") === "1";
    intervals.addEventListener("change", () => {
      remember(id + ".intervals", intervals.checked ? "1" : "");
      showIntervals();
    });
    if (intervals.checked) showIntervals();

    const boxes = all(".columns input", section);
    const usual = boxes.map((box) => box.checked);
    const showColumn = (box) => {
      const place = Number(box.value);
      for (const row of [table.tHead.rows[0], ...rows]) row.cells[place].hidden = !box.checked;
    };
    const columns = state.get(id + ".columns");
    boxes.forEach((box) => {
      if (columns !== null) {
        const named = columns.split(",").includes(heads[Number(box.value)].dataset.id);
        if (box.checked !== named) {
          box.checked = named;
          showColumn(box);
        }
      }
      box.addEventListener("change", () => {
        showColumn(box);
        const same = boxes.every((each, n) => each.checked === usual[n]);
        const names = boxes.filter((each) => each.checked).map((each) => heads[Number(each.value)].dataset.id);
        remember(id + ".columns", same ? "" : names.join(",") || "none");
      });
    });

    const budgets = all(".budget", section);
    const fits = section.querySelector(".fits");
    const applyBudget = () => {
      const limits = budgets.map((input) => (input.value === "" ? null : Number(input.value)));
      const set = limits.some((limit) => limit !== null);
      const count = { fits: 0, unsure: 0, over: 0, unknown: 0 };
      for (const row of rows) {
        const figures = JSON.parse(row.dataset.budget);
        let how = "fits";
        limits.forEach((limit, n) => {
          if (limit === null) return;
          const [low, high] = figures[n];
          const own = low === null ? "unknown" : low > limit ? "over" : high === null || high > limit ? "unsure" : "fits";
          if (["fits", "unsure", "unknown", "over"].indexOf(own) > ["fits", "unsure", "unknown", "over"].indexOf(how)) how = own;
        });
        count[how] += 1;
        row.classList.toggle("over", set && (how === "over" || how === "unknown"));
        row.classList.toggle("unsure", set && how === "unsure");
      }
      const parts = [`${count.fits} of ${rows.length} fit`];
      if (count.unsure) parts.push(`${count.unsure} may fit: measured too coarsely to tell`);
      if (count.unknown) parts.push(`${count.unknown} without a figure`);
      fits.textContent = set ? parts.join("; ") : "";
      budgets.forEach((input, n) => {
        for (const chart of charts.values())
          if (chart.id === id && chart.figure.dataset.kind === "pareto")
            chart.signal("budget_" + input.dataset.name, limits[n]);
      });
    };
    budgets.forEach((input) => {
      input.value = state.get(id + "." + input.dataset.name) || "";
      input.addEventListener("input", () => {
        remember(id + "." + input.dataset.name, input.value);
        applyBudget();
      });
    });
    applyBudget();
  };

  for (const section of all("section.dataset")) {
    for (const figure of all("figure.chart", section))
      if (figure.querySelector(".spec")) charts.set(figure, new Chart(figure, section.dataset.id));
    setUpTable(section);
  }
  charts.forEach((chart, figure) => seen.observe(figure));

  // The others are drawn one by one while nothing else happens, so that they are there to be printed.
  const waiting = [...charts.values()].slice(0, 60);
  const whenIdle = window.requestIdleCallback || ((work) => setTimeout(work, 200));
  const drawNext = () => {
    const chart = waiting.find((each) => !each.drawn);
    if (chart) chart.draw().then(() => whenIdle(drawNext));
  };
  addEventListener("load", () => setTimeout(() => whenIdle(drawNext), 1500));

  // The document is shown and saved on request.
  all("details.document").forEach((details) => {
    const text = details.parentElement.querySelector("script.document").textContent;
    details.addEventListener("toggle", () => {
      const pre = details.querySelector("pre");
      if (details.open && !pre.textContent) pre.textContent = text;
    });
    details.querySelector(".download").addEventListener("click", () =>
      download(text, "application/json", details.dataset.name + ".json")
    );
  });
})();
