"use strict";
// Filters the tables by course, and draws the charts of the course and the time chosen.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { texts } = data;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const count = new Intl.NumberFormat(data.language);
  const tenth = new Intl.NumberFormat(data.language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const hundredth = new Intl.NumberFormat(data.language, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  const percent = (digits) =>
    new Intl.NumberFormat(data.language, {
      style: "percent",
      // As the page's other figures are rounded.
      roundingMode: "halfEven",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
  const share = percent(1);
  const wholeShare = percent(0);
  const known = (value) => value !== null && value !== undefined;
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const ratio = (part, whole) => (whole ? part / whole : null);

  const METRICS = {
    attempts: { shown: (value) => count.format(Math.round(value)), format: ",.0f", step: 1 },
    unique_users: { shown: (value) => count.format(Math.round(value)), format: ",.0f", step: 1 },
    success_rate: { shown: (value) => share.format(value), format: ".0%", step: 0.01 },
  };
  const state = { course: null, time: "90", smooth: false };

  // ---- Series: what is known of the course chosen, by day or by week

  // All of a grain, oldest first: dates, labels, and a number by date for each figure.
  function series() {
    const grain = state.time === "weeks" ? data.weeks : data.days;
    const { course } = state;
    const of = (name) => (course === null ? grain.whole[name] : grain.courses[name][course]);
    const found = {
      ...grain,
      attempts: of("attempts"),
      unique_users: of("unique_users"),
      correct_submits: of("correct_submits"),
      graded_submits: of("graded_submits"),
      small: new Set(course === null ? [] : grain.courses.is_small[course]),
    };
    found.success_rate =
      course === null ? grain.whole.success_rate : found.correct_submits.map((n, i) => ratio(n, found.graded_submits[i]));
    found.first = state.time === "30" ? Math.max(0, grain.dates.length - 30) : 0;
    return found;
  }

  // The mean of the seven days up to each; of success, all that was correct of all that was graded.
  function withoutRhythm(found, metric) {
    const week = (values, end) => values.slice(end - 6, end + 1);
    return found[metric].map((_, end) => {
      if (end < 6) return null;
      if (metric !== "success_rate") return sum(week(found[metric], end)) / 7;
      return ratio(sum(week(found.correct_submits, end)), sum(week(found.graded_submits, end)));
    });
  }

  function points(found, metric) {
    const { shown } = METRICS[metric];
    const daily = state.time !== "weeks";
    const smooth = daily && state.smooth;
    const values = smooth ? withoutRhythm(found, metric) : found[metric];
    const band = daily && !smooth && state.course === null ? found.bands[metric] : null;
    return found.dates
      .map((day, i) => {
        const small = found.small.has(i) && !smooth;
        const value = values[i];
        const usual = band && known(band.low[i]) ? { low: band.low[i], high: band.high[i] } : {};
        const date = found.long[i];
        const head = smooth ? filled(texts.mean, { day: date }) : daily ? date : filled(texts.week, { day: date });
        const lines = [head, `${texts[metric]}: ${known(value) ? shown(value) : "–"}`];
        if (known(usual.low)) lines.push(filled(texts.usual, { band: `${shown(usual.low)} – ${shown(usual.high)}` }));
        if (small) lines.push(texts.few);
        const last = daily && i === found.dates.length - 1;
        const weekend = daily && !!found.weekend[i];
        return { day, value, ...usual, weekend, last, small, hours: daily ? 24 : 168, tip: lines.join("\n") };
      })
      .slice(found.first);
  }

  // ---- Charts

  const drawn = new Map();

  async function draw(place, name, values, change = () => {}) {
    const chart = structuredClone(data.charts[name]);
    Object.assign(chart, { data: { values }, width: "container", autosize: { type: "fit-x", contains: "padding" } });
    change(chart);
    const before = drawn.get(place);
    const order = (before?.order ?? 0) + 1;
    drawn.set(place, { ...before, order });
    const result = await vegaEmbed(place, chart, {
      actions: false,
      renderer: "svg",
      // Expressions are interpreted, so the page needs no right to make code of texts.
      ast: true,
      defaultStyle: false,
      config: data.config,
      formatLocale: data.locale.number,
      timeFormatLocale: data.locale.time,
      // A layer without points, such as that of the small ones, is no reason for a warning: errors only.
      logLevel: 1,
      tooltip: { disableDefaultStyle: true, formatTooltip: (text, sanitize) => sanitize(text) },
    });
    if (drawn.get(place).order === order) {
      before?.result?.finalize();
      drawn.set(place, { order, result });
    } else {
      result.finalize();
    }
  }

  // On paper a chart as wide as the screen's would be made small, with its text.
  const PAPER = 690;

  function fit(onPaper) {
    for (const [place, { result }] of drawn) {
      if (!result || result.spec.width !== "container") continue;
      result.view.signal("width", onPaper ? Math.min(PAPER, place.clientWidth) : place.clientWidth).run();
    }
  }

  addEventListener("beforeprint", () => fit(true));
  addEventListener("afterprint", () => fit(false));

  const set = (chart, name, value) => {
    chart.params.find((parameter) => parameter.name === name).value = value;
  };

  function drawDays(found) {
    return Object.keys(METRICS).map((metric) => {
      const [place] = all(`.chart[data-chart="${metric}"]`);
      return draw(place, "days", points(found, metric), (chart) => {
        set(chart, "axisFormat", METRICS[metric].format);
        if (state.time === "weeks") chart.encoding.x.axis.format = "%b %Y";
        for (const { encoding } of chart.layer) {
          if (encoding.y?.axis) encoding.y.axis.tickMinStep = METRICS[metric].step;
        }
      });
    });
  }

  function drawTasks() {
    const { tasks } = data;
    const [place] = all('.chart[data-chart="tasks"]');
    if (!place) return [];
    const chosen = tasks.title.map((_, i) => i).filter((i) => state.course === null || tasks.course[i] === state.course);
    const values = chosen.map((i) => ({
      first_submit_success: tasks.first_submit_success[i],
      discrimination: tasks.discrimination[i],
      learner_hours_lost_28d: tasks.learner_hours_lost_28d[i],
      tip: [
        tasks.title[i],
        data.courses[tasks.course[i]] ?? "",
        `${texts.right}: ${share.format(tasks.first_submit_success[i])}`,
        `${texts.discrimination}: ${hundredth.format(tasks.discrimination[i])}`,
        `${texts.hours}: ${tenth.format(tasks.learner_hours_lost_28d[i] ?? 0)}`,
      ].join("\n"),
    }));
    const every = state.course === null ? sum(tasks.all) : tasks.all[state.course];
    document.getElementById("tasks-drawn").textContent = filled(texts.drawn, {
      shown: count.format(values.length),
      all: count.format(every),
    });
    return [draw(place, "tasks", values)];
  }

  function drawHours() {
    const { hours } = data;
    const [place] = all('.chart[data-chart="hours"]');
    if (!place) return [];
    const values = hours.hour.map((hour, i) => {
      const name = hours.names[hours.weekday[i] - 1];
      const small = hours.unique_users[i] > 0 && hours.unique_users[i] < 5;
      const lines = [
        `${name}, ${hour}:00–${hour + 1}:00`,
        `${texts.attempts}: ${count.format(hours.attempts[i])}`,
        `${texts.unique_users}: ${count.format(hours.unique_users[i])}`,
      ];
      if (small) lines.push(texts.few);
      return { hour, weekday: hours.weekday[i], name, attempts: hours.attempts[i], small, tip: lines.join("\n") };
    });
    return [draw(place, "hours", values)];
  }

  function drawCohorts() {
    const { cohorts } = data;
    const [place] = all('.chart[data-chart="cohorts"]');
    if (!place) return [];
    const values = cohorts.cohort.map((cohort, i) => {
      const learners = count.format(cohorts.learners[cohort]);
      const part = cohorts.active[i] / cohorts.learners[cohort];
      return {
        order: cohort,
        cohort: `${cohorts.labels[cohort]} (${learners})`,
        weeks_since: cohorts.weeks_since[i],
        share: part,
        tip: [
          filled(texts.cohort, { week: cohorts.labels[cohort], learners }),
          filled(texts.active, {
            number: cohorts.weeks_since[i],
            active: `${wholeShare.format(part)} (${count.format(cohorts.active[i])})`,
          }),
        ].join("\n"),
      };
    });
    const columns = Math.max(...cohorts.weeks_since) + 1;
    return [
      draw(place, "cohorts", values, (chart) => {
        chart.height = Math.max(60, 24 * cohorts.labels.length);
        if (place.clientWidth > 90 + 70 * columns) Object.assign(chart, { width: 70 * columns, autosize: "pad" });
        set(chart, "labelled", (place.clientWidth - 90) / columns > 30);
      }),
    ];
  }

  // ---- Tables

  function filterTables() {
    for (const table of all(".by-course")) {
      let any = false;
      for (const row of all("[data-course]", table)) {
        const mine = state.course === null ? !("more" in row.dataset) : Number(row.dataset.course) === state.course;
        row.hidden = !mine;
        any ||= mine;
      }
      for (const none of all(".none", table)) none.hidden = any;
      const legend = (table.closest(".scroll") ?? table).nextElementSibling;
      if (legend?.matches(".for-few")) legend.hidden = !all(".few", table).some((mark) => !mark.closest("[hidden]"));
    }
  }

  const tasks = document.getElementById("tasks");
  const allTasks = document.getElementById("all-tasks");

  function showAllTasks() {
    tasks?.classList.remove("collapsed");
    if (allTasks) allTasks.hidden = true;
  }

  if (allTasks) {
    tasks.classList.add("collapsed");
    allTasks.hidden = false;
    allTasks.addEventListener("click", showAllTasks);
  }

  function cell(row, text, kind = "td") {
    const made = row.appendChild(document.createElement(kind));
    made.textContent = text;
    if (kind === "td") made.className = "n";
    else made.scope = "row";
  }

  function fillDays(found) {
    const body = document.querySelector("#days tbody");
    const rows = document.createDocumentFragment();
    for (let i = found.dates.length - 1; i >= found.first; i -= 1) {
      const row = rows.appendChild(document.createElement("tr"));
      cell(row, found.long[i] + (found.small.has(i) ? " ○" : ""), "th");
      cell(row, count.format(found.attempts[i]));
      cell(row, count.format(found.unique_users[i]));
      cell(row, count.format(found.correct_submits[i]));
      cell(row, known(found.success_rate[i]) ? share.format(found.success_rate[i]) : "–");
    }
    body.replaceChildren(rows);
    document.querySelector("#days thead th").textContent =
      state.time === "weeks" ? texts.week_from : texts.day;
    document.getElementById("few-days").hidden = ![...found.small].some((i) => i >= found.first);
  }

  function fillCourses(found) {
    const grain = state.time === "weeks" ? data.weeks : data.days;
    for (const row of all("#course-table [data-course]")) {
      const of = (name) => grain.courses[name][Number(row.dataset.course)].slice(found.first);
      const attempts = of("attempts");
      const success = ratio(sum(of("correct_submits")), sum(of("graded_submits")));
      row.querySelector('[data-total="attempts"]').textContent = count.format(sum(attempts));
      row.querySelector('[data-total="success"]').textContent = known(success) ? share.format(success) : "–";
      const top = Math.max(...attempts, 1);
      const step = 100 / Math.max(attempts.length - 1, 1);
      const line = attempts.map((value, i) => `${(step * i).toFixed(1)},${(19 - (18 * value) / top).toFixed(1)}`);
      row.querySelector("polyline").setAttribute("points", line.join(" "));
    }
  }

  // ---- What is chosen

  const rhythm = document.getElementById("rhythm");
  const course = document.getElementById("course");
  const chosen = document.querySelector(".chosen");

  async function show(first = false) {
    const found = series();
    document.body.classList.toggle("filtered", state.course !== null);
    chosen.hidden = state.course === null;
    chosen.textContent = state.course === null ? "" : filled(texts.course, { course: data.courses[state.course] });
    rhythm.disabled = state.time === "weeks";
    filterTables();
    if (state.course !== null) showAllTasks();
    fillDays(found);
    fillCourses(found);
    const charts = [...drawDays(found), ...drawTasks()];
    if (first) charts.push(...drawHours(), ...drawCohorts());
    await Promise.all(charts);
    // How long it took since the page was opened, in milliseconds.
    document.documentElement.dataset.drawn = Math.round(performance.now());
  }

  function read() {
    state.course = course.value === "" ? null : Number(course.value);
    state.time = document.querySelector('input[name="time"]:checked').value;
    state.smooth = rhythm.checked;
    show();
  }

  for (const control of [course, rhythm, ...all('input[name="time"]')]) control.addEventListener("change", read);
  for (const element of all(".filters, .rhythm")) element.hidden = false;
  show(true);
})();
