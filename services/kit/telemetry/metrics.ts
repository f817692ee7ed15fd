import type { Attributes, Counter, Histogram, Meter, ObservableCallback, UpDownCounter } from '@opentelemetry/api';
import { type MetricName, metrics } from './metric-registry.ts';

type NamesOf<Kind extends string> = {
  [N in MetricName]: (typeof metrics)[N]['kind'] extends Kind ? N : never;
}[MetricName];

/** The attributes that the registry allows a metric. */
export type MetricAttributes<N extends MetricName> = {
  [A in (typeof metrics)[N]['attributes'][number]]?: string | number;
};

interface Instruments {
  meter: Meter;
  made: Map<MetricName, Histogram | Counter | UpDownCounter>;
}

let instruments: Instruments | undefined;

/** Sets the meter to record with; without one, recording costs a single comparison. */
export function useMeter(meter: Meter | undefined): void {
  instruments = meter && { meter, made: new Map() };
}

/** Whether metrics are being collected, for measurements that are costly to prepare. */
export function isMeasuring(): boolean {
  return instruments !== undefined;
}

/** Records one value of a distribution, in the registry's unit. */
export function record<N extends NamesOf<'histogram'>>(name: N, value: number, attributes: MetricAttributes<N>): void {
  if (instruments) {
    (instrument(instruments, name) as Histogram).record(value, attributes as Attributes);
  }
}

/** Adds to a counter, or to an `upDownCounter`, which can also decrease. */
export function add<N extends NamesOf<'counter' | 'upDownCounter'>>(
  name: N,
  value: number,
  attributes: MetricAttributes<N>,
): void {
  if (instruments) {
    (instrument(instruments, name) as Counter).add(value, attributes as Attributes);
  }
}

/**
 * Registers a number to be read whenever metrics are collected; returns a function that unregisters it. If `read`
 * throws, the number is omitted.
 */
export function observe<N extends NamesOf<'gauge'>>(
  name: N,
  read: () => Promise<{ value: number; attributes: MetricAttributes<N> }[]>,
): () => void {
  if (!instruments) {
    return () => {};
  }
  const { unit, description } = metrics[name];
  const gauge = instruments.meter.createObservableGauge(name, { unit, description });
  const callback: ObservableCallback = async (result) => {
    for (const { value, attributes } of await read().catch(() => [])) {
      result.observe(value, attributes as Attributes);
    }
  };
  gauge.addCallback(callback);
  return () => gauge.removeCallback(callback);
}

function instrument({ meter, made }: Instruments, name: MetricName): Histogram | Counter | UpDownCounter {
  const known = made.get(name);
  if (known) {
    return known;
  }
  const created = create(meter, name);
  made.set(name, created);
  return created;
}

function create(meter: Meter, name: MetricName) {
  const entry: { kind: string; unit: string; description: string; buckets?: readonly number[] } = metrics[name];
  const { kind, unit, description, buckets } = entry;
  switch (kind) {
    case 'histogram':
      return meter.createHistogram(name, { unit, description, advice: { explicitBucketBoundaries: [...buckets!] } });
    case 'counter':
      return meter.createCounter(name, { unit, description });
    default:
      return meter.createUpDownCounter(name, { unit, description });
  }
}
