/**
 * Plots as SVG text, drawn on the server: no script runs in the page. Colours are CSS variables of the page, so the
 * same plot is right in light and dark. The key is HTML beside the plot, since only the browser can measure text.
 */
import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { ReportCurve } from './data.js';

use([BarChart, LineChart, GridComponent, SVGRenderer]);

/** Colours of the series in order, as CSS variables. */
export const SERIES_COLOURS = Array.from({ length: 6 }, (_, i) => `var(--series-${i + 1})`);

export interface LineChartOptions {
  /** Unique on the page: names of clip paths start with it. */
  id: string;
  curves: readonly ReportCurve[];
  /** Values are fractions, shown as percentages. Default false. */
  isPercent?: boolean;
  /** Marks each point; for curves of few points. Default false. */
  hasPoints?: boolean;
}

/** Curves over training steps. */
export function lineChart({ id, curves, isPercent = false, hasPoints = false }: LineChartOptions): string {
  const format = isPercent ? percentage : compact;
  return draw(id, {
    grid: GRID,
    xAxis: {
      type: 'value',
      ...AXIS,
      splitLine: { show: false },
    },
    yAxis: { type: 'value', scale: true, ...AXIS, axisLabel: { ...AXIS.axisLabel, formatter: format } },
    series: curves.map((curve) => ({
      type: 'line',
      name: curve.label,
      data: thin(curve.points, POINTS).map(([step, value]) => [step, value]),
      showSymbol: hasPoints,
      symbol: 'circle',
      symbolSize: 6,
      lineStyle: { width: 2 },
    })),
  });
}

export interface BarChartOptions {
  id: string;
  /** Names of the groups of bars. */
  groups: readonly string[];
  /** One bar a group; fractions, shown as percentages. */
  series: readonly { label: string; values: readonly number[] }[];
}

/** Groups of bars, each with its value above it. */
export function barChart({ id, groups, series }: BarChartOptions): string {
  const labelSize = series.length * groups.length > 12 ? 9 : 11;
  return draw(id, {
    grid: GRID,
    xAxis: { type: 'category', data: [...groups], ...AXIS, axisTick: { show: false } },
    yAxis: {
      type: 'value',
      min: 0,
      max: 1,
      ...AXIS,
      axisLabel: { ...AXIS.axisLabel, formatter: percentage },
    },
    series: series.map((one) => ({
      type: 'bar',
      name: one.label,
      data: [...one.values],
      barGap: '12%',
      barCategoryGap: '24%',
      itemStyle: { borderRadius: [2, 2, 0, 0] },
      label: {
        show: true,
        position: 'top',
        distance: 3,
        fontSize: labelSize,
        color: 'var(--ink-soft)',
        formatter: ({ value }: { value: number }) => (100 * value).toFixed(0),
      },
    })),
  });
}

/** Averages neighbouring points so that at most `count` are left; the last point stays exact. */
export function thin(
  points: readonly (readonly [number, number])[],
  count: number,
): readonly (readonly [number, number])[] {
  if (points.length <= count) return points;
  const bucket = Math.ceil(points.length / count);
  const result: [number, number][] = [];
  for (let start = 0; start < points.length; start += bucket) {
    const part = points.slice(start, start + bucket);
    result.push([part.at(-1)![0], part.reduce((sum, [, value]) => sum + value, 0) / part.length]);
  }
  return result;
}

// --- internal ---

const WIDTH = 540;
const HEIGHT = 290;
const POINTS = 160;
const FONT = 'system-ui, sans-serif';
const GRID = { left: 48, right: 12, top: 18, bottom: 30 };
const AXIS = {
  axisLine: { lineStyle: { color: 'var(--line-strong)' } },
  axisTick: { show: false },
  axisLabel: { color: 'var(--ink-soft)', fontFamily: FONT, fontSize: 12, hideOverlap: true },
  splitLine: { lineStyle: { color: 'var(--line)' } },
  splitNumber: 5,
};

const percentage = (value: number) => `${Math.round(100 * value)} %`;
const compact = (value: number) => String(Number(value.toPrecision(3)));

function draw(id: string, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height: HEIGHT });
  try {
    chart.setOption({
      animation: false,
      color: SERIES_COLOURS,
      textStyle: { fontFamily: FONT },
      ...option,
    });
    return chart
      .renderToSVGString()
      .replace(/<style[\s\S]*?<\/style>/g, '') // hover rules for a script that is not there
      .replace(/ (?:ecmeta_\w+|pointer-events|class|baseProfile|version|xmlns:xlink)="[^"]*"/g, '')
      .replace(/zr\d+-/g, `${id}-`) // names counted over the whole process would differ from run to run
      .replace(/fill="#fff"/g, 'fill="var(--paper)"')
      .replace(/^<svg width="\d+" height="\d+"/, '<svg class="plot" aria-hidden="true"');
  } finally {
    chart.dispose();
  }
}
