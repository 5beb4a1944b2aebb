//! The status of a standby: errors and holds that have ended are cleared.

use tokio::sync::watch;

use super::*;
use disclosure::hold::Holds;

fn standby(exchange: &Arc<Memory>, key: &Arc<SigningKey>) -> Social {
    let reads = Arc::new(Mutex::new(0));
    Social::new(parts(exchange, key, Gate::fixed_open(), 10, &reads)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_lease_error_is_cleared_by_the_next_poll() {
    let exchange = memory();
    let key = Arc::new(SigningKey::generate());
    let first = tokio::spawn(standby(&exchange, &key).run(CancellationToken::new()));
    until(|| exchange.lease_record().is_some()).await;
    let second = standby(&exchange, &key);
    let (view, stop) = (second.view(), CancellationToken::new());
    let second = tokio::spawn(second.run(stop.clone()));
    until(|| !view.status().lease.holder.is_empty()).await;
    exchange.interrupt_leases(true);
    until(|| view.status().lease.error.is_some()).await;
    exchange.interrupt_leases(false);
    until(|| view.status().lease.error.is_none()).await;
    assert!(!view.status().lease.held, "the first holds it all the time");
    first.abort();
    stop.cancel();
    assert_eq!(second.await.unwrap(), Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_lane_is_free_when_the_hold_ends() {
    let exchange = memory();
    let key = Arc::new(SigningKey::generate());
    let first = tokio::spawn(standby(&exchange, &key).run(CancellationToken::new()));
    until(|| exchange.lease_record().is_some()).await;
    let (sender, holds) = watch::channel(Holds::Unread("no connection".to_owned()));
    let persons = BTreeMap::new();
    let second = standby(&exchange, &key).with_holds(HoldConfig { holds, persons });
    let (view, stop) = (second.view(), CancellationToken::new());
    let second = tokio::spawn(second.run(stop.clone()));
    let is_held = || view.status().lanes.values().any(|lane| lane.held.is_some());
    until(is_held).await;
    sender.send_replace(Holds::Known(Vec::new()));
    until(|| !is_held() && !view.status().lease.held).await;
    let status = view.status();
    assert!(
        status.lanes.values().all(|lane| !lane.state.starts_with("held")),
        "{:?}",
        status.lanes
    );
    first.abort();
    stop.cancel();
    assert_eq!(second.await.unwrap(), Ok(()));
}
