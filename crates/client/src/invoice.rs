//! What a BOLT 11 invoice commits to. Sellers check it before showing it, buyers before paying it.

use ailayer_primitives::{AmountError, AmountMsat, Digest, Network, PaymentHash, UnixS};
use bitcoin::hashes::Hash as _;
use lightning_invoice::{Bolt11Invoice, Bolt11InvoiceDescriptionRef, Currency};
use thiserror::Error;

/// An invoice that is not what was agreed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvoiceError {
    /// Not a signed BOLT 11 invoice.
    #[error("not a BOLT 11 invoice: {0}")]
    Malformed(String),
    /// It says what it is for in words, instead of committing to the quote.
    #[error("the invoice carries no description hash")]
    NoDescriptionHash,
    /// It asks no amount, or an impossible one.
    #[error("the invoice asks no possible amount")]
    NoAmount,
    /// It is for another network.
    #[error("the invoice is for another network than {0}")]
    WrongNetwork(Network),
    /// It asks another amount.
    #[error("the invoice asks {invoice} instead of {agreed}")]
    WrongAmount {
        /// What it asks.
        invoice: AmountMsat,
        /// What was agreed.
        agreed: AmountMsat,
    },
    /// It commits to something else.
    #[error("the invoice does not commit to the quote")]
    WrongDescription,
    /// It is for another payment hash.
    #[error("the invoice is for another payment hash")]
    WrongPaymentHash,
    /// Another node signed it.
    #[error("the invoice is signed by another node")]
    WrongPayee,
}

/// The parts of a signed invoice that money depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    currency: Currency,
    /// The payment hash.
    pub payment_hash: PaymentHash,
    /// What it asks.
    pub amount: AmountMsat,
    /// What it commits to.
    pub description_hash: Digest,
    /// The node that signed it and is to be paid.
    pub payee: [u8; 33],
    /// When it stops being payable.
    pub expiry: UnixS,
}

/// What an invoice must commit to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The network.
    pub network: Network,
    /// The exact amount.
    pub amount: AmountMsat,
    /// The SHA-256 of the signed quote's bytes.
    pub description_hash: Digest,
    /// The payment hash.
    pub payment_hash: PaymentHash,
    /// The payee, if it is known.
    pub payee: Option<[u8; 33]>,
}

impl Invoice {
    /// Reads an invoice and checks its signature.
    pub fn parse(bolt11: &str) -> Result<Self, InvoiceError> {
        let invoice: Bolt11Invoice =
            bolt11.parse().map_err(|error| InvoiceError::Malformed(format!("{error:?}")))?;
        let Bolt11InvoiceDescriptionRef::Hash(hash) = invoice.description() else {
            return Err(InvoiceError::NoDescriptionHash);
        };
        let msat = invoice.amount_milli_satoshis().ok_or(InvoiceError::NoAmount)?;
        Ok(Self {
            currency: invoice.currency(),
            payment_hash: PaymentHash(Digest::new(invoice.payment_hash().to_byte_array())),
            amount: AmountMsat::try_new(msat).map_err(|_: AmountError| InvoiceError::NoAmount)?,
            description_hash: Digest::new(hash.0.to_byte_array()),
            payee: invoice.get_payee_pub_key().serialize(),
            expiry: UnixS(invoice.expires_at().map_or(u64::MAX, |at| at.as_secs())),
        })
    }

    /// Checks every commitment.
    pub fn check(&self, agreement: &Agreement) -> Result<(), InvoiceError> {
        if self.currency != currency_of(agreement.network) {
            return Err(InvoiceError::WrongNetwork(agreement.network));
        }
        if self.amount != agreement.amount {
            return Err(InvoiceError::WrongAmount { invoice: self.amount, agreed: agreement.amount });
        }
        if self.description_hash != agreement.description_hash {
            return Err(InvoiceError::WrongDescription);
        }
        if self.payment_hash != agreement.payment_hash {
            return Err(InvoiceError::WrongPaymentHash);
        }
        if agreement.payee.is_some_and(|payee| payee != self.payee) {
            return Err(InvoiceError::WrongPayee);
        }
        Ok(())
    }
}

/// BOLT 11 has one prefix for all test networks with testnet's addresses.
const fn currency_of(network: Network) -> Currency {
    match network {
        Network::Bitcoin => Currency::Bitcoin,
        Network::Testnet4 => Currency::BitcoinTestnet,
        Network::Signet => Currency::Signet,
        Network::Regtest => Currency::Regtest,
    }
}

#[cfg(test)]
pub(crate) mod tests;
