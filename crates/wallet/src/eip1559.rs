//! Transactions of EIP-1559 (type 2), and the part of RLP that they need.

use crate::address::{Address, TxHash};
use crate::keccak::keccak;
use crate::signature::Signature;

const TYPE: u8 = 2;

/// An unsigned transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The chain id.
    pub chain_id: u64,
    /// The nonce: the number of earlier transactions of the sender.
    pub nonce: u64,
    /// The highest tip per unit of gas, in wei.
    pub max_priority_fee: u128,
    /// The highest total price per unit of gas, in wei.
    pub max_fee: u128,
    /// The highest amount of gas.
    pub gas: u64,
    /// The contract or the receiver.
    pub to: Address,
    /// The amount of ether, in wei.
    pub value: u128,
    /// The data of the call.
    pub data: Vec<u8>,
}

impl Transaction {
    /// The 32 bytes to sign.
    pub fn digest(&self) -> [u8; 32] {
        keccak(&[&self.encode(None)])
    }

    /// The signed bytes for the node, and the transaction's hash.
    pub fn signed(&self, signature: &Signature) -> (Vec<u8>, TxHash) {
        let bytes = self.encode(Some(signature));
        let hash = TxHash::new(keccak(&[&bytes]));
        (bytes, hash)
    }

    fn encode(&self, signature: Option<&Signature>) -> Vec<u8> {
        let mut fields = Vec::with_capacity(192);
        number(&mut fields, self.chain_id.into());
        number(&mut fields, self.nonce.into());
        number(&mut fields, self.max_priority_fee);
        number(&mut fields, self.max_fee);
        number(&mut fields, self.gas.into());
        string(&mut fields, self.to.as_bytes());
        number(&mut fields, self.value);
        string(&mut fields, &self.data);
        // An empty access list.
        fields.push(0xc0);
        if let Some(signature) = signature {
            number(&mut fields, signature.y_odd.into());
            string(&mut fields, without_zeros(&signature.r));
            string(&mut fields, without_zeros(&signature.s));
        }
        let mut bytes = vec![TYPE];
        header(&mut bytes, 0xc0, fields.len());
        bytes.extend(fields);
        bytes
    }
}

/// A number is a byte string without leading zeros.
fn number(out: &mut Vec<u8>, number: u128) {
    string(out, without_zeros(&number.to_be_bytes()));
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    match bytes {
        // A small byte is its own encoding.
        [byte] if *byte < 0x80 => out.push(*byte),
        _ => {
            header(out, 0x80, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// The length of a string (0x80) or a list (0xc0).
fn header(out: &mut Vec<u8>, kind: u8, length: usize) {
    match u8::try_from(length) {
        Ok(length) if length <= 55 => out.push(kind + length),
        _ => {
            let length = length.to_be_bytes();
            let length = without_zeros(&length);
            // A length has at most eight bytes.
            out.push(kind + 55 + u8::try_from(length.len()).unwrap_or(8));
            out.extend_from_slice(length);
        }
    }
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        string(&mut out, bytes);
        out
    }

    #[test]
    fn rlp_at_its_ends() {
        assert_eq!(encoded(b""), [0x80]);
        assert_eq!(encoded(&[0]), [0]);
        assert_eq!(encoded(&[0x7f]), [0x7f]);
        assert_eq!(encoded(&[0x80]), [0x81, 0x80]);
        assert_eq!(encoded(b"dog"), *b"\x83dog");
        assert_eq!(encoded(&[1; 55]).first_chunk(), Some(&[0xb7, 1]));
        assert_eq!(encoded(&[1; 56]).first_chunk(), Some(&[0xb8, 56, 1]));
        assert_eq!(encoded(&[1; 1024]).first_chunk(), Some(&[0xb9, 4, 0, 1]));
        for (value, bytes) in [(0, &[0x80][..]), (15, &[15]), (128, &[0x81, 128]), (1024, &[0x82, 4, 0])] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, bytes);
        }
    }
}
