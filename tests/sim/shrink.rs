//! A failing run is made smaller: fewer clients, faults and commands, as long as something goes wrong.

use std::panic;

use crate::plan::{Plan, Trim};
use crate::run::{Outcome, run};

/// Runs that it may take at most.
const TRIES_MAX: usize = 600;

/// What can be left out so that something still goes wrong, and what that is.
pub(crate) fn shrink(plan: &Plan) -> (Plan, Outcome) {
    let (mut trim, mut tries) = (Trim::default(), 0);
    // Of what goes wrong on the way nobody wants to read.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let mut fails = |trim: &Trim| {
        tries += 1;
        tries <= TRIES_MAX && run(&plan.trimmed(trim), false).wrong.is_some()
    };
    loop {
        let before = trim.clone();
        for client in 0..plan.clients.len() {
            keep_if(&mut trim, &mut fails, |trim| trim.clients.insert(client));
        }
        for fault in &plan.faults {
            keep_if(&mut trim, &mut fails, |trim| trim.faults.insert(*fault));
        }
        for (client, ClientCommands(commands)) in commands_of(plan) {
            // Halves, then quarters, down to single ones.
            let mut size = commands.div_ceil(2);
            while size > 0 && !trim.clients.contains(&client) {
                for from in (0..commands).step_by(size) {
                    keep_if(&mut trim, &mut fails, |trim| {
                        let before = trim.commands.len();
                        trim.commands.extend((from..commands.min(from + size)).map(|index| (client, index)));
                        trim.commands.len() > before
                    });
                }
                size /= 2;
            }
        }
        if trim == before {
            break;
        }
    }
    panic::set_hook(hook);
    let smaller = plan.trimmed(&trim);
    let outcome = run(&smaller, true);
    (smaller, outcome)
}

struct ClientCommands(usize);

fn commands_of(plan: &Plan) -> impl Iterator<Item = (usize, ClientCommands)> + '_ {
    plan.clients.iter().map(|client| ClientCommands(client.commands.len())).enumerate()
}

/// Leaves something more out, if something still goes wrong.
fn keep_if(
    trim: &mut Trim,
    fails: &mut impl FnMut(&Trim) -> bool,
    leave_out: impl FnOnce(&mut Trim) -> bool,
) {
    let mut more = trim.clone();
    if leave_out(&mut more) && fails(&more) {
        *trim = more;
    }
}
