import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.util.Arrays;
import javax.crypto.SecretKey;
import org.bouncycastle.asn1.ASN1Encodable;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1SequenceParser;
import org.bouncycastle.asn1.ASN1StreamParser;
import org.bouncycastle.asn1.cms.CMSObjectIdentifiers;
import org.bouncycastle.asn1.cms.ContentInfoParser;
import org.bouncycastle.cms.CMSAuthEnvelopedDataParser;
import org.bouncycastle.cms.CMSEnvelopedDataParser;
import org.bouncycastle.cms.KEKRecipientId;
import org.bouncycastle.cms.KEMRecipientInformation;
import org.bouncycastle.cms.KeyAgreeRecipientInformation;
import org.bouncycastle.cms.KeyTransRecipientInformation;
import org.bouncycastle.cms.PKIXRecipientId;
import org.bouncycastle.cms.PasswordRecipient;
import org.bouncycastle.cms.PasswordRecipientInformation;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientInformationStore;
import org.bouncycastle.cms.jcajce.JceKEKAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEKEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEMAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKEMEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JcePasswordEnvelopedRecipient;

/** Opens a DER or BER file with Bouncy Castle's streaming parsers. Whose it is, words say:
 * "certificate FILE KEY", "kek FILE IDENTIFIER" (in hexadecimal digits) or "password TEXT". */
final class Decrypt {
    private final boolean authenticated;
    private final RecipientInformationStore infos;

    private Decrypt(byte[] sealed) throws Exception {
        authenticated = contentType(sealed).equals(CMSObjectIdentifiers.authEnvelopedData);
        infos = authenticated
                ? new CMSAuthEnvelopedDataParser(sealed).getRecipientInfos()
                : new CMSEnvelopedDataParser(sealed).getRecipientInfos();
    }

    static void open(Path input, Path output, String[] who) throws Exception {
        var message = new Decrypt(Files.readAllBytes(input));
        RecipientInformation info = message.find(who);
        Recipient recipient = message.recipient(info, who);
        try (InputStream in = info.getContentStream(recipient).getContentStream();
                OutputStream out = Files.newOutputStream(output)) {
            in.transferTo(out);
        }
    }

    private static ASN1ObjectIdentifier contentType(byte[] sealed) throws Exception {
        ASN1Encodable first = new ASN1StreamParser(sealed).readObject();
        return new ContentInfoParser((ASN1SequenceParser) first).getContentType();
    }

    private RecipientInformation find(String[] who) throws Exception {
        for (RecipientInformation info : infos.getRecipients()) {
            if (isFor(info, who)) {
                return info;
            }
        }
        throw new IllegalArgumentException("nothing in it is for " + Arrays.toString(who));
    }

    private static boolean isFor(RecipientInformation info, String[] who) throws Exception {
        switch (who[0]) {
            case "certificate":
                return info.getRID() instanceof PKIXRecipientId id
                        && id.match(Material.holder(who[1]));
            case "kek":
                return info.getRID() instanceof KEKRecipientId id
                        && Arrays.equals(id.getKeyIdentifier(), Words.octets(who[2]));
            default:
                return info instanceof PasswordRecipientInformation;
        }
    }

    private Recipient recipient(RecipientInformation info, String[] who) throws Exception {
        if (who[0].equals("password")) {
            char[] password = who[1].toCharArray();
            PasswordRecipient one = authenticated
                    ? new JcePasswordAuthEnvelopedRecipient(password).setProvider("BC")
                    : new JcePasswordEnvelopedRecipient(password).setProvider("BC");
            return one;
        }
        if (who[0].equals("kek")) {
            SecretKey key = Material.secretKey(who[1]);
            return authenticated
                    ? new JceKEKAuthEnvelopedRecipient(key).setProvider("BC")
                    : new JceKEKEnvelopedRecipient(key).setProvider("BC");
        }
        return owner(info, Material.privateKey(who[2]));
    }

    private Recipient owner(RecipientInformation info, PrivateKey key) throws Exception {
        if (info instanceof KeyTransRecipientInformation) {
            return authenticated
                    ? new JceKeyTransAuthEnvelopedRecipient(key).setProvider("BC")
                    : new JceKeyTransEnvelopedRecipient(key).setProvider("BC");
        }
        if (info instanceof KeyAgreeRecipientInformation) {
            return authenticated
                    ? new JceKeyAgreeAuthEnvelopedRecipient(key).setProvider("BC")
                    : new JceKeyAgreeEnvelopedRecipient(key).setProvider("BC");
        }
        if (info instanceof KEMRecipientInformation) {
            return authenticated
                    ? new JceKEMAuthEnvelopedRecipient(key).setProvider("BC")
                    : new JceKEMEnvelopedRecipient(key).setProvider("BC");
        }
        throw new IllegalArgumentException("no private key opens " + info.getClass());
    }
}
