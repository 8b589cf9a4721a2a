import { InputError } from "../errors.ts";

export interface ScheduleOptions {
  /** Highest learning rate. */
  readonly learningRate: number;
  /** Steps over which the rate grows from 0. */
  readonly warmupSteps: number;
  readonly totalSteps: number;
}

/** Learning rate of step `step`, from 0: linear from 0 over the warm-up, then linear to 0 at the end. */
export function linearSchedule(step: number, { learningRate, warmupSteps, totalSteps }: ScheduleOptions): number {
  if (step < warmupSteps) return (learningRate * step) / warmupSteps;
  return (learningRate * Math.max(0, totalSteps - step)) / Math.max(1, totalSteps - warmupSteps);
}

/** @throws InputError "bad-option" where the warm-up would leave no step at the full rate */
export function checkSchedule({ warmupSteps, totalSteps }: ScheduleOptions): void {
  if (warmupSteps < totalSteps) return;
  throw new InputError(
    "bad-option",
    `${warmupSteps} warm-up steps, but the whole run has only ${totalSteps}. Lower the warm-up or the batch size, or train for more epochs.`,
  );
}
