//! `cargo xtask test`: every step in order, a failure in one leaving out only what depends on it.

use std::process::ExitCode;

use clap::Args;

use crate::cargo::Workspace;
use crate::failure::Result;
use crate::lane::{self, Lane, power};
use crate::pieces::{self, Piece};
use crate::report::Report;
use crate::{clients, fixtures, host, suites};

/// What to test.
#[derive(Args)]
pub struct Options {
    /// Leave out the hardware lane.
    #[arg(long, conflicts_with = "only_lane")]
    no_lane: bool,

    /// Run nothing but the hardware lane (and build what it needs).
    #[arg(long)]
    only_lane: bool,

    /// Run only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

const BUILD: &str = "release build";
const FIXTURES: &str = "guest programs";
const PLAIN: &str = "unit, pair and doc tests";
const KVM: &str = "KVM tests";
const CLIENTS: &str = "AWS's own clients";
const POWER: &str = "power cuts";

const HOST: &str = "host";
const NO_VM: &str = "host, no VM";
const LANE: &str = "hardware lane: kvm-amd in QEMU's TCG";

/// Runs the steps and prints the summary; fails where a step did.
pub fn run(options: &Options) -> Result<ExitCode> {
    let filter = options.filter.as_deref();
    let mut needed =
        vec![Piece::Busybox, Piece::Musl, Piece::Erofs, Piece::Postgres, Piece::Python];
    if !options.no_lane {
        needed.extend([Piece::Qemu, Piece::Ext4]);
    }
    needed.extend(fixtures::programs::PIECES);
    pieces::ensure(&needed)?;
    let workspace = Workspace::find()?;
    let mut report = Report::default();

    let is_built = report.build(BUILD, HOST, || workspace.build_release());
    if options.only_lane {
        report.skip(PLAIN, NO_VM, "--only-lane");
    } else {
        report.test(PLAIN, NO_VM, || suites::plain(&workspace, filter));
    }
    let is_ready = report.build(FIXTURES, HOST, || fixtures::build(&workspace)) && is_built;
    let obstacle = (!is_ready).then_some("what it needs was not built");

    let kind = host::kvm_kind();
    let dev_kvm = format!("host's /dev/kvm{}{kind}", if kind.is_empty() { "" } else { ": " });
    match (options.only_lane, obstacle, host::kvm()) {
        (true, ..) => report.skip(KVM, &dev_kvm, "--only-lane"),
        (_, Some(why), _) => report.skip(KVM, &dev_kvm, why),
        (_, _, Err(why)) => report.skip(KVM, &dev_kvm, why),
        (false, None, Ok(())) => {
            report.test(KVM, &dev_kvm, || suites::kvm(&workspace, filter));
            report.test(CLIENTS, &dev_kvm, || clients::test(&workspace, filter));
        }
    }
    match obstacle.filter(|_| !options.no_lane).or(options.no_lane.then_some("--no-lane")) {
        Some(why) => {
            report.skip(KVM, LANE, why);
            report.skip(POWER, LANE, why);
        }
        None => {
            report.test(KVM, LANE, || lane::test(&Lane::new(&workspace)?, &workspace, filter));
            let wants = filter.is_none_or(|text| power::NAME.contains(text));
            if wants {
                report.test(POWER, LANE, || power::test(&Lane::new(&workspace)?, &workspace));
            } else {
                report.skip(POWER, LANE, "--filter");
            }
        }
    }

    println!("{}", report.text());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
