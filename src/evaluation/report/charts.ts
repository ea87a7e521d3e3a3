/**
 * Plots as SVG text, drawn on the server: no script runs in the page. Colours are CSS variables of the page, so the
 * same plot is right in light and dark. The key is HTML beside the plot, since only the browser can measure text.
 */
import { BarChart, LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent } from 'echarts/components';
import { type EChartsCoreOption, init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { ReportPlot, ReportScatter } from './data.js';

use([BarChart, LineChart, ScatterChart, GridComponent, SVGRenderer]);

/** Colours of the series in order, as CSS variables. */
export const SERIES_COLOURS = Array.from({ length: 12 }, (_, i) => `var(--series-${i + 1})`);

/** Curves over training steps, dimensions or probabilities. @param id unique on the page: names of clip paths start with it */
export function lineChart(
  id: string,
  {
    curves,
    isPercent = false,
    isPercentAcross = false,
    isLogarithmic = false,
    hasPoints = false,
  }: ReportPlot,
): string {
  return draw(id, {
    grid: GRID,
    xAxis: {
      ...AXIS,
      ...(isLogarithmic ? { type: 'log', logBase: 2, min: 'dataMin', max: 'dataMax' } : { type: 'value' }),
      ...(isPercentAcross ? { min: 0, max: 1 } : {}),
      splitLine: { show: false },
      axisLabel: { ...AXIS.axisLabel, formatter: isPercentAcross ? percentage : compact },
    },
    yAxis: {
      type: 'value',
      scale: true,
      ...(isPercentAcross ? { min: 0, max: 1 } : {}),
      ...AXIS,
      axisLabel: { ...AXIS.axisLabel, formatter: isPercent ? percentage : compact },
    },
    series: curves.map(({ label, points, weights, isReference = false }) => ({
      type: 'line',
      name: label,
      data: thin(points, POINTS).map(([x, y]) => [x, y]),
      showSymbol: hasPoints && !isReference,
      symbol: 'circle',
      symbolSize:
        weights === undefined
          ? 6
          : (_: unknown, { dataIndex }: { dataIndex: number }) => 3 + 13 * Math.sqrt(weights[dataIndex] ?? 0),
      ...(isReference ? { itemStyle: { color: 'var(--line-strong)' } } : {}),
      lineStyle: isReference ? { width: 1.5, type: 'dashed', color: 'var(--line-strong)' } : { width: 2 },
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
  const bars = series.length * groups.length;
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
        show: bars <= 30,
        position: 'top',
        distance: 3,
        fontSize: bars > 12 ? 9 : 11,
        color: 'var(--ink-soft)',
        formatter: ({ value }: { value: number }) => (100 * value).toFixed(0),
      },
    })),
  });
}

/** One point a thing, each in a colour of its own. */
export function scatterChart(id: string, { points, isPercent = false, across, up }: ReportScatter): string {
  const named = { nameTextStyle: { color: 'var(--ink-soft)', fontFamily: FONT, fontSize: 12 } };
  return draw(id, {
    grid: { ...GRID, left: 52, top: 30, bottom: 48 },
    xAxis: {
      type: 'value',
      scale: true,
      name: across,
      nameLocation: 'middle',
      nameGap: 30,
      ...named,
      ...AXIS,
      axisLabel: { ...AXIS.axisLabel, formatter: compact },
    },
    yAxis: {
      type: 'value',
      scale: true,
      name: up,
      ...named,
      nameTextStyle: { ...named.nameTextStyle, align: 'left' },
      ...AXIS,
      axisLabel: { ...AXIS.axisLabel, formatter: isPercent ? percentage : compact },
    },
    series: points.map(({ label, x, y }) => ({
      type: 'scatter',
      name: label,
      data: [[x, y]],
      symbolSize: 13,
      label: {
        show: points.length <= 12,
        formatter: '{a}',
        position: 'top',
        fontSize: 11,
        color: 'var(--ink-soft)',
      },
    })),
  });
}

/** Averages neighbouring points so that at most `count` are left; the last point stays at its place. */
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

const WIDTH = 440;
const HEIGHT = 250;
const POINTS = 160;
const FONT = 'system-ui, sans-serif';
const GRID = { left: 44, right: 16, top: 18, bottom: 30 };
const AXIS = {
  axisLine: { lineStyle: { color: 'var(--line-strong)' } },
  axisTick: { show: false },
  axisLabel: { color: 'var(--ink-soft)', fontFamily: FONT, fontSize: 12, hideOverlap: true },
  splitLine: { lineStyle: { color: 'var(--line)' } },
  splitNumber: 5,
};

const percentage = (value: number) => `${Number((100 * value).toPrecision(4))} %`;
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
