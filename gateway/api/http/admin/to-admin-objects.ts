import type { z } from 'zod';
import { snakeCase } from '../../../../services/kit/field-name.ts';
import { stageNames } from '../../../../services/pipeline/stages.ts';
import type { GatewayRow } from '../../../jobs/store/gateways.ts';
import { formatBudget } from '../../../keys/budget.ts';
import { keyValues } from '../../../keys/key-fields.ts';
import type { Models } from '../../../models/models.ts';
import type { RecordedAction } from '../../../operator/actions.ts';
import type { KeyInUse, OperatedJob } from '../../../operator/operator.ts';
import type { FailureGroup, KeyInLine } from '../../../operator/read-facts.ts';
import { seconds } from '../formats.ts';
import { toVideoObject } from '../video-object.ts';
import type { AdminGateway, AdminKey, AdminVideo, KeyShape } from './admin-objects.ts';

export function toAdminGateway({
  name,
  mode,
  modeSince,
  startedAt,
  seenAt,
  isAlive,
  running,
}: GatewayRow): AdminGateway {
  return {
    object: 'admin.gateway',
    name,
    mode,
    mode_since: seconds(modeSince),
    alive: isAlive,
    running,
    started_at: seconds(startedAt),
    seen_at: seconds(seenAt),
  };
}

export function toAdminLine({ keyId, name, share, queued, running, oldestAt, heldBy }: KeyInLine) {
  return {
    object: 'admin.line' as const,
    key: keyId,
    name,
    share,
    queued,
    running,
    oldest_at: oldestAt && seconds(oldestAt),
    held_by: heldBy,
  };
}

export function toAdminVideo({ job, facts }: OperatedJob, models: Models): AdminVideo {
  const { keyName: name, gateway, changedAt, priorityBy } = facts;
  return {
    object: 'admin.video',
    key: job.keyId,
    key_name: name,
    gateway,
    changed_at: seconds(changedAt),
    priority_by: priorityBy && { key: priorityBy.keyId, before: priorityBy.before },
    video: toVideoObject(job, models),
  };
}

export function toAdminKey({ key, use }: KeyInUse): AdminKey {
  const { budgets: _, name, ...values } = keyValues(key);
  const fields = Object.fromEntries(Object.entries(values).map(([field, value]) => [snakeCase(field), value]));
  return {
    object: 'admin.key',
    id: key.id,
    name,
    ...(fields as z.infer<z.ZodObject<KeyShape>>),
    budgets: use.budgets.map((budget) => ({
      budget: formatBudget(budget),
      used: budget.used,
      resets_at: seconds(budget.resetsAt),
    })),
    queued: use.queued,
    running: use.running,
    created_at: seconds(key.createdAt),
    last_used_at: key.lastUsedAt ? seconds(key.lastUsedAt) : null,
    revoked_at: key.revokedAt ? seconds(key.revokedAt) : null,
  };
}

export function toAdminFailure({ reason, lastAt, lastJob, stage, ...rest }: FailureGroup) {
  return {
    object: 'admin.failure' as const,
    ...rest,
    reason: reason.toLowerCase(),
    last_at: seconds(lastAt),
    last_video: lastJob,
    stage: stageNames.find((name) => name === stage) ?? null,
  };
}

export function toAdminAction({ number, at, keyId, keyName: name, name: action, target, details }: RecordedAction) {
  return {
    object: 'admin.action' as const,
    number,
    at: seconds(at),
    key: keyId,
    key_name: name,
    action,
    target,
    details: Object.fromEntries(Object.entries(details).map(([field, value]) => [snakeCase(field), value])),
  };
}
