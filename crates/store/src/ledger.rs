//! PLACEHOLDER ledger
