//! What a wallet checks by itself before it pays.

use ailayer_primitives::{AmountMsat, Network};
use lightning_invoice::{Bolt11Invoice, Currency};

use crate::PayerError;

/// Reads an invoice that is for this network, names an amount, and asks at most `max_amount`. Pure.
pub fn check_invoice(
    bolt11: &str,
    network: Network,
    max_amount: AmountMsat,
) -> Result<Bolt11Invoice, PayerError> {
    let invoice: Bolt11Invoice = bolt11.parse().map_err(|_| PayerError::Malformed("invoice"))?;
    if invoice.currency() != currency_of(network) {
        return Err(PayerError::WrongNetwork(network));
    }
    let asked_msat = invoice.amount_milli_satoshis().ok_or(PayerError::Malformed("invoice"))?;
    if asked_msat > max_amount.msat() {
        return Err(PayerError::TooExpensive { asked_msat, limit_msat: max_amount.msat() });
    }
    Ok(invoice)
}

/// BOLT 11 has one prefix for both public test networks.
const fn currency_of(network: Network) -> Currency {
    match network {
        Network::Bitcoin => Currency::Bitcoin,
        Network::Testnet4 => Currency::BitcoinTestnet,
        Network::Signet => Currency::Signet,
        Network::Regtest => Currency::Regtest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From BOLT 11's examples: 2500 micro-bitcoin, that is 250,000,000 msat, for "1 cup coffee".
    const MAINNET_250_000_SAT: &str = "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh";
    /// From the same place: any amount.
    const MAINNET_ANY_AMOUNT: &str = "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq357wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tztugp9lfyql";

    fn check(bolt11: &str, network: Network, max_msat: u64) -> Result<u64, PayerError> {
        let max = AmountMsat::try_new(max_msat).unwrap();
        check_invoice(bolt11, network, max).map(|invoice| invoice.amount_milli_satoshis().unwrap())
    }

    #[test]
    fn only_what_this_wallet_may_pay_passes() {
        let paid = check(MAINNET_250_000_SAT, Network::Bitcoin, 250_000_000);
        assert_eq!(paid.unwrap(), 250_000_000);
        let foreign = check(MAINNET_250_000_SAT, Network::Regtest, 250_000_000);
        assert!(matches!(foreign, Err(PayerError::WrongNetwork(Network::Regtest))));
        let dear = check(MAINNET_250_000_SAT, Network::Bitcoin, 249_999_999);
        assert!(matches!(dear, Err(PayerError::TooExpensive { asked_msat: 250_000_000, .. })));
        let open = check(MAINNET_ANY_AMOUNT, Network::Bitcoin, 250_000_000);
        assert!(matches!(open, Err(PayerError::Malformed("invoice"))));
        assert!(matches!(check("lnbc1", Network::Bitcoin, 1), Err(PayerError::Malformed("invoice"))));
    }
}
