// The plots: one figure each, its values also as text. uPlot is in the page as a script of its own.
import { HISTORY, PLOTS, write } from "./figures.js";

const HEIGHT = 150;

export class Plots {
  #times = [];
  #values = new Map();
  #figures = [];

  constructor(place) {
    for (const plot of PLOTS) {
      for (const [name] of plot.series) this.#values.set(name, []);
      this.#figures.push(new Figure(place, plot));
    }
    const redraw = () => this.#figures.forEach((figure) => figure.rebuild(this.#data(figure)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  /** Adds what was true at a moment, in seconds since 1970. */
  add(time, moment) {
    this.#times.push(time);
    for (const [name, values] of this.#values) values.push(moment[name] ?? null);
    if (this.#times.length > HISTORY) {
      this.#times.shift();
      for (const values of this.#values.values()) values.shift();
    }
    for (const figure of this.#figures) figure.show(this.#data(figure), moment);
  }

  #data(figure) {
    return [this.#times, ...figure.plot.series.map(([name]) => this.#values.get(name))];
  }
}

class Figure {
  #canvas;
  #values;
  #uplot;

  constructor(place, plot) {
    this.plot = plot;
    const figure = element("figure", "card plot");
    const caption = element("figcaption");
    caption.append(element("h3", "", plot.title));
    const list = element("dl", "legend");
    this.#values = plot.series.map(([, label], index) => {
      const row = element("div");
      const name = element("dt", `series-${index + 1}`, label);
      const value = element("dd", "", "–");
      row.append(name, value);
      list.append(row);
      return value;
    });
    caption.append(list);
    this.#canvas = element("div", "canvas");
    this.#canvas.setAttribute("aria-hidden", "true");
    figure.append(caption, this.#canvas);
    place.append(figure);
    new ResizeObserver(() => {
      const width = this.#canvas.clientWidth;
      if (width > 0 && this.#uplot && this.#uplot.width !== width) this.#uplot.setSize({ width, height: HEIGHT });
    }).observe(this.#canvas);
  }

  show(data, moment) {
    this.plot.series.forEach(([name], index) => {
      this.#values[index].textContent = write(this.plot.unit, moment[name]);
    });
    if (this.#uplot) this.#uplot.setData(data);
    else this.rebuild(data);
  }

  /** Colours are read when it is made. */
  rebuild(data) {
    this.#uplot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const unit = this.plot.unit;
    const options = {
      width: this.#canvas.clientWidth || 320,
      height: HEIGHT,
      padding: [8, 28, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { size: 6 } },
      scales: { y: { range: (_plot, _min, max) => [0, Math.max(max ?? 0, unit === "percent" ? 10 : 1) * 1.1] } },
      axes: [
        { ...axis, size: 30, space: 80, values: (_plot, times) => times.map(clock) },
        { ...axis, size: 62, space: 36, values: (_plot, values) => values.map((value) => write(unit, value)) },
      ],
      series: [{}, ...this.plot.series.map(([, label], index) => ({ label, stroke: colour(`--series-${index + 1}`), width: 2, spanGaps: true, points: { show: false } }))],
    };
    this.#uplot = new globalThis.uPlot(options, data, this.#canvas);
  }
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}
