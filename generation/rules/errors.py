"""What can be wrong with content rules. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class RuleTooLongError(InvalidRequestError):
    """A rule may be at most {most} characters long, not {number}."""


class ReasonTooLongError(InvalidRequestError):
    """A reason may be at most {most} characters long, not {number}."""


class RuleWithoutTextError(InvalidRequestError):
    """A rule needs at least one letter or digit."""


class EmptyPatternError(InvalidRequestError):
    """The pattern is empty. Write what it finds."""


class PatternUnusableError(InvalidRequestError):
    """The pattern “{text}” cannot be used: {reason}."""


class PatternsNotCompiledError(InvalidRequestError):
    """The patterns of this server cannot be compiled together. Remove some of them, or shorten their repeats."""


class PatternsTooLargeError(InvalidRequestError):
    """The patterns of this server may compile to at most {most} RE2 instructions together, and “{text}” with its \
{own} goes over that. Shorten repeats such as .{repeat}, or remove patterns."""


class TooManyRulesError(InvalidRequestError):
    """A server may have at most {most} rules, not {number}. Remove some first."""


class TooManyPatternsError(InvalidRequestError):
    """A server may have at most {most} patterns, not {number}. Use words instead: they are not limited like that."""


class UnknownRuleError(InvalidRequestError):
    """There is no rule with the number {id} here. See `/rules list`."""


class NoRuleInFileError(InvalidRequestError):
    """The file holds no rule. Write one rule a line."""


class RulesFileError(InvalidRequestError):
    """The file cannot be read as rules: {reason}."""


class RuleInFileError(InvalidRequestError):
    """The file has a rule that cannot be used. {reason}"""


class RuleInLineError(InvalidRequestError):
    """The rule in line {number} cannot be used. {reason}"""
