use proptest::prelude::*;

use super::*;

#[test]
fn more_than_all_bitcoin_is_refused_at_every_door() {
    assert_eq!(AmountMsat::try_new(AmountMsat::MAX.msat() + 1), Err(AmountError::TooLarge));
    assert_eq!(AmountSat::try_new(u64::MAX), Err(AmountError::TooLarge));
    assert_eq!(AmountMsat::MAX.checked_add(AmountMsat(1)), Err(AmountError::TooLarge));
    assert_eq!(AmountMsat(u64::MAX / 2).checked_mul(3), Err(AmountError::TooLarge));
    assert!(serde_json::from_str::<AmountMsat>(&u64::MAX.to_string()).is_err());
}

#[test]
fn nothing_goes_below_zero() {
    assert_eq!(AmountMsat::ZERO.checked_sub(AmountMsat(1)), Err(AmountError::Negative));
    assert_eq!(AmountMsat::try_from_i64(-1), Err(AmountError::Negative));
}

#[test]
fn the_largest_amount_survives_the_database() {
    assert_eq!(AmountMsat::try_from_i64(AmountMsat::MAX.to_i64()), Ok(AmountMsat::MAX));
    assert_eq!(AmountSat::MAX.to_msat(), AmountMsat::MAX);
}

proptest! {
    #[test]
    fn rounding_up_never_loses_a_millisatoshi(msat in 0..=AmountMsat::MAX.msat()) {
        let amount = AmountMsat::try_new(msat).unwrap();
        let sat = amount.to_sat_ceil();
        prop_assert!(sat.to_msat() >= amount);
        prop_assert!(sat.to_msat().msat() - msat < 1000);
    }
}
