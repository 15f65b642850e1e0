//! Which model of a tiered endpoint answers: rules in CEL over what is asked, compiled when the table is
//! built.
//!
//! A tenant writes these rules, so they are bounded before they run: no loops, no regular expressions, a
//! closed list of functions and names, and so few nodes that a rule costs microseconds whatever it is fed.

use std::fmt;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Program, Value};
use towpath_wire::routing::{Tier, TierCheck};

/// Longest expression, in bytes.
const MAX_EXPRESSION: usize = 1_024;
/// Brackets within brackets, and other marks that make a parser go deeper.
const MAX_NESTING: usize = 16;
const MAX_DEEPENING: usize = 32;
/// Most nodes of an expression, and its greatest depth.
const MAX_NODES: usize = 192;
const MAX_DEPTH: usize = 48;
/// Most rules of one endpoint.
const MAX_RULES: usize = 32;
/// Most levels: a bit each of the targets that were tried.
const MAX_LEVELS: usize = 8;
/// The parser is a recursive one; this is ten times what the largest allowed expression takes.
const PARSER_STACK: usize = 16 << 20;

/// Functions a rule may call; operators are always allowed.
const FUNCTIONS: [&str; 7] =
    ["size", "contains", "startsWith", "endsWith", "int", "double", "string"];
/// Names a rule may use.
const NAMES: [&str; 11] = [
    "input_tokens",
    "max_tokens",
    "has_tools",
    "response_format",
    "difficulty",
    "stream",
    "labels",
    "project",
    "team",
    "environment",
    "key",
];

/// What a rule may look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// Estimated.
    pub input_tokens: u64,
    /// Most tokens of the answer that were asked for; 0: no bound was given.
    pub max_tokens: u64,
    pub has_tools: bool,
    /// `text`, `json_object` or `json_schema`.
    pub response_format: &'f str,
    /// As the caller declared it; empty: not at all.
    pub difficulty: &'f str,
    pub stream: bool,
    pub labels: &'f [(String, String)],
    pub project: &'f str,
    pub team: &'f str,
    pub environment: &'f str,
    /// Id of the key.
    pub key: &'f str,
}

/// The levels of an endpoint and the rules that choose among them.
pub struct Tiers {
    /// Names, from cheap to strong, each with its target's place among the endpoint's.
    pub levels: Vec<(String, usize)>,
    rules: Vec<Rule>,
    pub checks: Vec<TierCheck>,
}

struct Rule {
    name: String,
    level: usize,
    program: Arc<Program>,
}

/// A level that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'t> {
    pub level: usize,
    /// The rule that decided; absent: none did, and the first level answers.
    pub rule: Option<&'t str>,
}

impl Tiers {
    /// Compile a tier's rules. `targets` are ids of the endpoint's own targets.
    ///
    /// # Errors
    /// What is wrong and where, for whoever wrote it.
    pub(crate) fn compile(tier: &Tier, targets: &[&str]) -> Result<Self, String> {
        let mut levels: Vec<(String, usize)> = Vec::with_capacity(tier.levels.len());
        if !(2..=MAX_LEVELS).contains(&tier.levels.len()) {
            return Err(format!("a tier has 2 to {MAX_LEVELS} levels, not {}", tier.levels.len()));
        }
        for level in &tier.levels {
            let Some(index) = targets.iter().position(|target| *target == level.target) else {
                return Err(format!("level `{}` is none of the endpoint's targets", level.name));
            };
            if levels.iter().any(|(name, taken)| *name == level.name || *taken == index) {
                return Err(format!("level `{}` or its target occurs twice", level.name));
            }
            levels.push((level.name.clone(), index));
        }
        if tier.rules.len() > MAX_RULES {
            return Err(format!("{} rules are more than {MAX_RULES}", tier.rules.len()));
        }
        let mut rules = Vec::with_capacity(tier.rules.len());
        for rule in &tier.rules {
            let name = &rule.name;
            let level = levels.iter().position(|(level, _)| *level == rule.level);
            let level =
                level.ok_or_else(|| format!("rule `{name}` names no level: `{}`", rule.level))?;
            let program = compile(&rule.when).map_err(|why| format!("rule `{name}`: {why}"))?;
            rules.push(Rule { name: name.clone(), level, program: Arc::new(program) });
        }
        Ok(Self { levels, rules, checks: tier.escalate_on.clone() })
    }

    /// The first rule that is true decides. One that cannot be worked out, because it names a label that is
    /// not there, is not true.
    pub fn decide(&self, facts: &Facts<'_>) -> Decision<'_> {
        if self.rules.is_empty() {
            return Decision { level: 0, rule: None };
        }
        let context = context(facts);
        let holds = |rule: &&Rule| rule.program.execute(&context) == Ok(Value::Bool(true));
        match self.rules.iter().find(holds) {
            Some(rule) => Decision { level: rule.level, rule: Some(&rule.name) },
            None => Decision { level: 0, rule: None },
        }
    }

    /// The places of the targets in the order in which they are asked: the level that was chosen, those above
    /// it, then those below it.
    pub fn order(&self, level: usize) -> Vec<usize> {
        let above = self.levels.iter().skip(level);
        let below = self.levels.iter().take(level).rev();
        above.chain(below).map(|(_, index)| *index).collect()
    }

    /// The level that a target is, by its place among the endpoint's targets.
    pub fn level_of(&self, index: usize) -> Option<usize> {
        self.levels.iter().position(|(_, target)| *target == index)
    }
}

impl fmt::Debug for Tiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiers").field("levels", &self.levels).finish_non_exhaustive()
    }
}

fn context<'v>(facts: &Facts<'_>) -> Context<'static, 'v> {
    let mut context = Context::default();
    let int = |value: u64| Value::Int(i64::try_from(value).unwrap_or(i64::MAX));
    let text = |value: &str| Value::String(Arc::new(value.to_owned()));
    let labels: std::collections::HashMap<String, String> = facts.labels.iter().cloned().collect();
    for (name, value) in [
        ("input_tokens", int(facts.input_tokens)),
        ("max_tokens", int(facts.max_tokens)),
        ("has_tools", Value::Bool(facts.has_tools)),
        ("response_format", text(facts.response_format)),
        ("difficulty", text(facts.difficulty)),
        ("stream", Value::Bool(facts.stream)),
        ("labels", Value::from(labels)),
        ("project", text(facts.project)),
        ("team", text(facts.team)),
        ("environment", text(facts.environment)),
        ("key", text(facts.key)),
    ] {
        context.add_variable_from_value(name, value);
    }
    context
}

/// Compile one expression, and make sure that it is small, closed and gives true or false.
fn compile(source: &str) -> Result<Program, String> {
    shape(source)?;
    // On a stack of its own, so that no expression can take the caller's with it.
    let parsing = std::thread::scope(|scope| {
        let parse = || Program::compile(source);
        let parser = std::thread::Builder::new().stack_size(PARSER_STACK);
        parser.spawn_scoped(scope, parse).map(std::thread::ScopedJoinHandle::join)
    });
    let program = match parsing {
        Ok(Ok(Ok(program))) => program,
        Ok(Ok(Err(errors))) => {
            return Err(errors.errors.first().map_or_else(
                || "cannot be read".to_owned(),
                |error| format!("line {}, column {}: {}", error.pos.0, error.pos.1, error.msg),
            ));
        }
        Ok(Err(_)) | Err(_) => return Err("cannot be read".to_owned()),
    };
    let mut walk = Walk { program: &program, source, nodes: 0 };
    walk.visit(program.expression(), 0)?;
    let sample = Facts {
        input_tokens: 1,
        max_tokens: 1,
        has_tools: false,
        response_format: "text",
        difficulty: "",
        stream: false,
        labels: &[],
        project: "",
        team: "",
        environment: "",
        key: "",
    };
    match program.execute(&context(&sample)) {
        // An error of the sample's: a label that is not there.
        Ok(Value::Bool(_)) | Err(_) => Ok(program),
        Ok(_) => Err("gives neither true nor false".to_owned()),
    }
}

/// Look at the text before any parser does.
fn shape(source: &str) -> Result<(), String> {
    if source.len() > MAX_EXPRESSION {
        return Err(format!("has {} bytes, at most {MAX_EXPRESSION} are read", source.len()));
    }
    let (mut depth, mut deepening) = (0_usize, 0);
    for (index, letter) in source.char_indices() {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '!' | '?' | '-' | '.' => deepening += 1,
            _ => {}
        }
        if depth > MAX_NESTING || deepening > MAX_DEEPENING {
            return Err(format!("column {}: is nested too deeply", index + 1));
        }
    }
    Ok(())
}

struct Walk<'p> {
    program: &'p Program,
    source: &'p str,
    nodes: usize,
}

impl Walk<'_> {
    fn visit(&mut self, node: &IdedExpr, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err("is too large".to_owned());
        }
        let below = depth + 1;
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if NAMES.contains(&name.as_str()) => Ok(()),
            Expr::Ident(name) => {
                let near = crate::closest(name, NAMES);
                let hint = near.map_or_else(
                    || format!("; there is {}", NAMES.join(", ")),
                    |near| format!("; did you mean `{near}`"),
                );
                Err(self.at(node, &format!("`{name}` is no fact of a request{hint}")))
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                let named = name.starts_with(|letter: char| letter.is_ascii_alphabetic());
                if named && !FUNCTIONS.contains(&name) {
                    let listed = FUNCTIONS.join(", ");
                    return Err(self.at(node, &format!("`{name}` is not allowed; {listed} are")));
                }
                let parts = call.target.as_deref().into_iter().chain(&call.args);
                parts.into_iter().try_for_each(|part| self.visit(part, below))
            }
            Expr::Select(select) => self.visit(&select.operand, below),
            Expr::List(list) => {
                list.elements.iter().try_for_each(|element| self.visit(element, below))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, below)?;
                    self.visit(&entry.value, below)
                }
                EntryExpr::StructField(_) => Err("structures are not allowed".to_owned()),
            }),
            _ => Err(self.at(node, "loops and structures are not allowed")),
        }
    }

    /// The same words, with where in the expression they are about.
    fn at(&self, node: &IdedExpr, what: &str) -> String {
        let column = self.program.source_info().offset_for(node.id).map_or(0, |(start, _)| start);
        // Offsets count characters or bytes, by the parser; expressions are plain text.
        let column = usize::try_from(column).unwrap_or(0).min(self.source.len());
        format!("column {}: {what}", column + 1)
    }
}

#[cfg(test)]
mod tests;
