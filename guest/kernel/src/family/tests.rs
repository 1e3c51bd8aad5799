use super::*;

const ENDS: Events =
    Events { ended: true, stopped: false, continued: false, clones: false, all: false };

/// 2 is first; 3 and 4 are its children, 5 is 3's.
fn family() -> Families {
    let mut families = Families::default();
    families.add_first(2);
    for (pid, parent) in [(3, 2), (4, 2), (5, 3)] {
        families.add(pid, parent, SIGCHLD);
    }
    families
}

#[test]
fn a_child_is_waited_for_once() {
    let mut families = family();
    assert_eq!(families.find(2, Which::Any, ENDS), Ok(None));
    families.end(4, Status::Exited(7), 10);
    assert_eq!(families.find(2, Which::Child(3), ENDS), Ok(None));
    assert_eq!(families.find(2, Which::Any, ENDS), Ok(Some((4, Status::Exited(7)))));
    families.take_news(4);
    assert_eq!(families.get(2).unwrap().children_ran_ns, 10);
    assert_eq!(families.find(2, Which::Child(4), ENDS), Err(Errno::CHILD));
    assert_eq!(families.find(4, Which::Any, ENDS), Err(Errno::CHILD));
    assert_eq!(families.find(2, Which::Child(5), ENDS), Err(Errno::CHILD), "a grandchild");
}

#[test]
fn times_of_children_are_handed_up() {
    let mut families = family();
    families.end(5, Status::Exited(0), 5);
    families.take_news(5);
    families.end(3, Status::Exited(0), 30);
    families.take_news(3);
    assert_eq!(families.get(2).unwrap().children_ran_ns, 35);
}

#[test]
fn stops_and_continuations_are_told_once_to_who_asks() {
    let mut families = family();
    let member = families.get_mut(3).unwrap();
    (member.state, member.news) = (State::Stopped, Some(Status::Stopped(19)));
    assert_eq!(families.find(2, Which::Any, ENDS), Ok(None));
    let stops = Events { stopped: true, ..ENDS };
    assert_eq!(families.find(2, Which::Any, stops), Ok(Some((3, Status::Stopped(19)))));
    families.take_news(3);
    assert_eq!(families.find(2, Which::Any, stops), Ok(None));
    families.get_mut(3).unwrap().news = Some(Status::Continued);
    assert_eq!(families.find(2, Which::Any, stops), Ok(None));
    let goes_on = Events { ended: false, continued: true, ..ENDS };
    assert_eq!(families.find(2, Which::Any, goes_on), Ok(Some((3, Status::Continued))));
    families.end(3, Status::Killed(9), 0);
    families.end(4, Status::Killed(9), 0);
    let gone = families.find(2, Which::Any, goes_on);
    assert_eq!(gone, Err(Errno::CHILD), "nobody is left who could go on");
}

#[test]
fn orphans_go_to_init_or_the_nearest_subreaper() {
    let mut families = family();
    families.get_mut(5).unwrap().death_signal = 15;
    let orphan = Orphan { pid: 5, death_signal: 15, has_ended: false };
    assert_eq!(families.end(3, Status::Exited(0), 0), [orphan]);
    assert_eq!(families.get(5).unwrap().parent, INIT);
    let mut families = family();
    families.get_mut(2).unwrap().is_subreaper = true;
    families.end(5, Status::Exited(1), 0);
    assert!(families.end(3, Status::Exited(0), 0)[0].has_ended);
    let waited = families.find(2, Which::Child(5), ENDS);
    assert_eq!(waited, Ok(Some((5, Status::Exited(1)))));
}

#[test]
fn kinds_of_children_are_told_apart() {
    let mut families = family();
    families.add(6, 4, 0);
    families.end(6, Status::Exited(0), 0);
    assert_eq!(families.find(4, Which::Any, ENDS), Err(Errno::CHILD));
    for events in [Events { clones: true, ..ENDS }, Events { all: true, ..ENDS }] {
        assert_eq!(families.find(4, Which::Any, events), Ok(Some((6, Status::Exited(0)))));
    }
}

#[test]
fn groups_and_sessions_have_rules() {
    let mut families = family();
    assert_eq!(families.set_session(2), Err(Errno::PERM), "it leads its group");
    assert_eq!(families.set_group(2, 2, 2), Err(Errno::PERM), "it leads its session");
    assert_eq!(families.set_group(2, 3, 3), Ok(()));
    assert_eq!(families.set_group(2, 4, 3), Ok(()));
    assert_eq!(families.group(3), [3, 4]);
    assert_eq!(families.set_group(2, 4, 9), Err(Errno::PERM), "there is no such group");
    assert_eq!(families.set_group(2, 5, 5), Err(Errno::SRCH), "not its child");
    families.get_mut(4).unwrap().has_executed = true;
    assert_eq!(families.set_group(2, 4, 4), Err(Errno::ACCES));
    assert_eq!(families.set_group(4, 4, 4), Ok(()));
    assert_eq!(families.set_session(5), Ok(5));
    assert_eq!(families.set_group(3, 5, 3), Err(Errno::PERM), "another session");
    assert!(families.is_taken(4) && !families.is_taken(9));
    families.end(3, Status::Exited(0), 0);
    families.take_news(3);
    assert!(!families.is_taken(3), "{families:?}");
    let group_waits = families.find(2, Which::Group(4), ENDS);
    assert_eq!(group_waits, Ok(None));
}

#[test]
fn statuses_have_linuxs_shapes() {
    let words = [Status::Exited(3), Status::Killed(11), Status::Stopped(19), Status::Continued];
    assert_eq!(words.map(Status::word), [0x300, 11, 0x137f, 0xffff]);
    assert_eq!(words.map(Status::code), [(1, 3), (2, 11), (5, 19), (6, 18)]);
}
