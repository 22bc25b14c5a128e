/** How the training curves of a page are drawn. The address keeps it, so that a view of them is a link. */
import { choice, choose, chooseAll } from '../routing/location.svelte';
import { CURVE_XS, type CurveX } from './curve';

/** Weights of the past in the moving average, from none to almost all. */
export const SMOOTHINGS = [0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999] as const;
const USUAL_SMOOTHING = 0.8;

function number(key: string): number | undefined {
  const text = choice(key);
  const value = text === undefined || text === '' ? NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}

export const curveSettings = {
  get x(): CurveX {
    return CURVE_XS.find((known) => known === choice('x')) ?? 'step';
  },
  set x(value) {
    // A range of steps says nothing about tokens.
    chooseAll({ x: value === 'step' ? undefined : value, from: undefined, to: undefined });
  },
  get logX() {
    return choice('logx') === '1';
  },
  set logX(value) {
    choose('logx', value ? '1' : undefined);
  },
  get logY() {
    return choice('logy') === '1';
  },
  set logY(value) {
    choose('logy', value ? '1' : undefined);
  },
  get smooth(): number {
    const wanted = number('smooth');
    return SMOOTHINGS.find((known) => known === wanted) ?? USUAL_SMOOTHING;
  },
  set smooth(value: number) {
    choose('smooth', value === USUAL_SMOOTHING ? undefined : String(value));
  },
  /** Ends of the part of the x axis that is shown; all of it if missing. */
  get from() {
    return number('from');
  },
  get to() {
    return number('to');
  },
  zoom(from: number | undefined, to: number | undefined) {
    const text = (value: number | undefined) =>
      value === undefined ? undefined : String(Number(value.toPrecision(6)));
    chooseAll({ from: text(from), to: text(to) });
  },
};
