use super::*;

fn read(text: &str) -> Result<u64, FeeRateError> {
    FeeRate::try_from_btc_per_kvb(text).map(FeeRate::sat_per_kvb)
}

#[test]
fn btc_per_kvb_is_read_to_the_satoshi() {
    assert_eq!(read("0.00001"), Ok(1_000));
    assert_eq!(read("0.00001234"), Ok(1_234));
    assert_eq!(read("0.1"), Ok(10_000_000));
    assert_eq!(read("0"), Ok(0));
    assert_eq!(read("0.00000001"), Ok(1));
    assert_eq!(read("0.000000010"), Ok(1));
    assert_eq!(read("0.0000000101"), Ok(2), "rounded up");
}

#[test]
fn what_is_no_rate_is_refused() {
    for text in ["", ".", "-1", "-0.1", "1e-5", "NaN", "inf", "0.1.1", "+1", " 1"] {
        assert_eq!(read(text), Err(FeeRateError::Malformed), "{text:?}");
    }
    for text in ["0.10000001", "21000000", "99999999999999999999999"] {
        assert_eq!(read(text), Err(FeeRateError::Implausible), "{text:?}");
    }
}

#[test]
fn the_relay_minimum_is_the_floor_and_the_fallback() {
    let rate = |sat| FeeRate::try_from_sat_per_kvb(sat).unwrap();
    assert_eq!(FeeEstimate::new(None, rate(100)), FeeEstimate { fee_rate: rate(100), fallback: true });
    assert_eq!(
        FeeEstimate::new(Some(rate(50)), rate(100)),
        FeeEstimate { fee_rate: rate(100), fallback: false }
    );
    assert_eq!(
        FeeEstimate::new(Some(rate(500)), rate(100)),
        FeeEstimate { fee_rate: rate(500), fallback: false }
    );
}
