import type { Command, CommanderError } from 'commander';
import { Status } from 'nice-grpc-common';
import { choices, describe, FusionError, invalidField, shown } from '../services/kit/errors.ts';

/** An error of commander's about the command line, worded as ours are. INVALID_ARGUMENT. */
export function usageError(command: Command, error: CommanderError): FusionError {
  const explained = explain(command, error);
  const message = `${explained}${explained.endsWith('?') ? '' : '.'} See '${pathOf(command)} --help'`;
  return new FusionError(Status.INVALID_ARGUMENT, message, { cause: error });
}

function explain(command: Command, { code, message }: CommanderError): string {
  // In each message the first quoted text is the name of the argument, flag or command that it is about.
  const name = /'(.*?)'/s.exec(message)?.[1] ?? '';
  switch (code) {
    case 'commander.missingArgument':
    case 'commander.missingMandatoryOptionValue':
      return `\`${name}\` is required`;
    case 'commander.optionMissingArgument':
      return `A value must follow \`${name}\``;
    case 'commander.unknownOption':
      return `\`${shown(name)}\` is not a known option${suggestion(message)}`;
    case 'commander.unknownCommand':
      return invalidField('command', name, choices(command.commands.map((each) => each.name()))).message;
    case 'commander.excessArguments':
      return explainExcess(command);
    case 'commander.conflictingOption':
      return message.replace('error: ', '').replace(/option '(.*?)'/g, '`$1`');
    default:
      return message.replace('error: ', '');
  }
}

function suggestion(message: string): string {
  const [, flags] = /Did you mean (.*)\?/.exec(message) ?? [];
  return flags === undefined ? '' : `; did you mean ${flags}?`;
}

function explainExcess({ args, registeredArguments }: Command): string {
  const names = registeredArguments.map((each) => `\`${each.name()}\``).join(' and ');
  const given = `(got ${args.map(describe).join(', ')})`;
  return names === ''
    ? `This command takes no arguments ${given}`
    : `This command takes only ${names} ${given}; quote an argument that contains spaces`;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}
