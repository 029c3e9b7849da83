//! Process manager of a private development network: bitcoind, ElectrumX, PostgreSQL.
