//! The launcher against real processes, and the frames as the other side reads them.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use mayfly_abi::control::Disk;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tokio::time::timeout;

use super::super::RootImage;
use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn spec() -> EnvironmentSpec {
    let (_, output) = io::pipe().unwrap();
    EnvironmentSpec {
        memory_mib: 128,
        tmp_bytes_max: 0,
        image: Arc::new(RootImage {
            disk: Disk::default(),
            files: Vec::new(),
            mounts: Vec::new(),
            program: "/var/task/bootstrap".into(),
        }),
        variables: vec!["A=B".into()],
        directory: "/var/task".into(),
        output: output.into(),
    }
}

/// A launcher of a shell script.
fn launcher(dir: &Path, script: &str) -> ProcessLauncher {
    let program = dir.join("program");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    ProcessLauncher::of_program(Handle::current(), &program).unwrap()
}

async fn ending(launched: &mut Launched) -> (Ending, Option<String>) {
    loop {
        match timeout(PATIENCE, launched.events.recv()).await.unwrap().unwrap() {
            LaunchEvent::Started(_) | LaunchEvent::Connected(..) | LaunchEvent::Begun(_) => {}
            LaunchEvent::Ended(ended) => return (ended.ending, ended.detail),
        }
    }
}

#[tokio::test]
async fn a_process_that_dies_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut launched = launcher(dir.path(), "exit 3").launch(spec());
    assert_eq!(ending(&mut launched).await.0, Ending::Failed);
}

#[tokio::test]
async fn a_program_that_is_missing_is_a_failure() {
    let launcher = ProcessLauncher::of_program(Handle::current(), Path::new("/nowhere")).unwrap();
    let (ending, detail) = ending(&mut launcher.launch(spec())).await;
    assert_eq!(ending, Ending::Failed);
    assert!(detail.unwrap().contains("does not start"));
}

#[tokio::test]
async fn a_killed_process_is_gone_when_that_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 60", pid_file.display());
    let mut launched = launcher(dir.path(), &script).launch(spec());
    let read = || std::fs::read_to_string(&pid_file).ok().filter(|text| text.ends_with('\n'));
    let pid = timeout(PATIENCE, async {
        loop {
            if let Some(pid) = read() {
                break pid;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let pid = pid.await.unwrap();
    (launched.kill)();
    assert_eq!(ending(&mut launched).await.0, Ending::Killed);
    assert!(!Path::new("/proc").join(pid.trim()).exists());
}

#[tokio::test]
async fn a_frame_carries_its_descriptors() {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let spec = spec();
    let message = ToVmm::Start(Box::new(vm_spec(&spec)));
    send(&mut ours, &message, &[spec.output.as_fd(), theirs.as_fd()]).await.unwrap();
    theirs.readable().await.unwrap();
    let mut bytes = vec![0; 4096];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut pieces = [io::IoSliceMut::new(&mut bytes)];
    let received = recvmsg(&theirs, &mut pieces, &mut ancillary, RecvFlags::empty()).unwrap();
    let count: usize = ancillary
        .drain()
        .map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.count(),
            _ => 0,
        })
        .sum();
    assert_eq!(count, 2);
    let len = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    assert_eq!(received.bytes, len + 4);
    let ToVmm::Start(got) = postcard::from_bytes(&bytes[4..received.bytes]).unwrap() else {
        panic!("another message");
    };
    assert_eq!((got.memory_mib, got.streams.len()), (128, 4));
}

#[tokio::test]
async fn a_report_is_believed_only_as_far_as_it_makes_sense() {
    for bad in [&[0xff; 4][..], &[1, 0, 0, 0, 9], &[5, 0, 0, 0, 1]] {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(bad).await.unwrap();
        drop(theirs);
        assert!(receive(&mut ours).await.is_err());
    }
}
