import { part } from '../dom.ts';
import { formatSeconds } from '../formats.ts';
import type { Gateway } from '../wire.ts';
import { act, confirmedWith } from './act.ts';
import { secondsSince } from './names.ts';
import { setMode } from './operate.ts';
import { Rows, setParts } from './rows.ts';

const done = { pause: 'is paused', drain: 'is draining', resume: 'is active again' } as const;
type Verb = keyof typeof done;

/** The gateways, which can be paused, drained and resumed. */
export function gatewaysView(refresh: () => Promise<void>): Rows<Gateway> {
  const change = async ({ name }: Gateway, verb: Verb) => {
    const question = {
      pause: `Pause ${name}? It finishes its videos and starts no more until you resume it, also after a restart.`,
      drain: `Drain ${name}? It finishes its videos, starts no more and asks load balancers for no more calls, until you resume it.`,
      resume: undefined,
    }[verb];
    const label = { pause: 'Pause', drain: 'Drain', resume: 'Resume' }[verb];
    if (question === undefined || (await confirmedWith(question, label)) !== undefined) {
      await act('gateways', `${name} ${done[verb]}.`, async () => {
        await setMode(name, verb);
        await refresh();
      });
    }
  };
  return new Rows<Gateway>({
    body: 'gateways',
    template: 'gateway-row',
    keyOf: ({ name }) => name,
    update(row, gateway) {
      const { name, mode, alive, running, started_at } = gateway;
      row.dataset.mode = alive ? mode : 'silent';
      setParts(row, {
        name,
        state: stateOf(gateway),
        running: String(running),
        age: alive ? formatSeconds(secondsSince(started_at)) : '',
      });
      part<HTMLButtonElement>(row, 'pause').hidden = mode === 'paused';
      part<HTMLButtonElement>(row, 'drain').hidden = mode === 'draining';
      part<HTMLButtonElement>(row, 'resume').hidden = mode === 'active';
      for (const verb of ['pause', 'drain', 'resume']) {
        const button = part(row, verb);
        button.setAttribute('aria-label', `${button.textContent} ${name}`);
      }
    },
    actions: {
      pause: (gateway) => void change(gateway, 'pause'),
      drain: (gateway) => void change(gateway, 'drain'),
      resume: (gateway) => void change(gateway, 'resume'),
    },
  });
}

function stateOf({ mode, mode_since, alive, running, seen_at }: Gateway): string {
  const since = `for ${formatSeconds(secondsSince(mode_since))}`;
  const state = {
    active: 'active',
    paused: `paused ${since}`,
    draining: running > 0 ? `draining ${since}` : `drained ${since}`,
  }[mode];
  const silence = `silent for ${formatSeconds(secondsSince(seen_at))}`;
  return alive ? state : mode === 'active' ? silence : `${silence}, ${state}`;
}
